"""A ticket of VGG19, found by `tickets run`, in the training script of somebody who knows nothing of this project."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import torchvision
from torch import nn

from pipeline import Ticket
from pipeline.cli import main
from pipeline.lottery.models import build, initialize
from pipeline.recipes.models import model_from

GRID = """
name: vgg19-on-cifar10
model: {name: vgg19, width: 4}
seeds: [0]
training: {optimizer: {name: sgd, lr: 0.05}, batch_size: 50, length: 1ep}
prune: {rate: 0.5, rounds: 2, rewind: 5it}
sources: [{name: cifar10, dataset: {name: parquet, path: cifar10, per_class: 50}}]
targets: same
tickets: [winning]
"""

SCRIPT = """
import io, json, sys

import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models.vgg import make_layers

from pipeline import Ticket

class Cifar10(Dataset):
    def __init__(self, file, images, transform):
        rows = next(pq.ParquetFile(file).iter_batches(batch_size=images)).to_pylist()
        self.items = [(row["image"]["bytes"], row["label"]) for row in rows]
        self.transform = transform

    def __len__(self):
        return len(self.items)

    def __getitem__(self, place):
        data, label = self.items[place]
        return self.transform(Image.open(io.BytesIO(data)).convert("RGB")), label

class VGG(nn.Module):
    def __init__(self, layers, classes):
        super().__init__()
        self.features = make_layers(layers, batch_norm=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(layers[-1], classes)

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))

torch.manual_seed(0)
torch.set_num_threads(1)
ticket_file, data_file = sys.argv[1:]
transform = transforms.Compose([
    transforms.RandomCrop(32, padding=4),
    transforms.RandomHorizontalFlip(),
    transforms.ToTensor(),
    transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
])
loader = DataLoader(Cifar10(data_file, 500, transform), batch_size=50, shuffle=True)
model = VGG([4, 4, "M", 8, 8, "M", *[16] * 4, "M", *[32] * 4, "M", *[32] * 4], classes=10)
Ticket.load(ticket_file).apply(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
loss_function = nn.CrossEntropyLoss()
losses, zeros = [], []
model.train()
for epoch in range(3):
    for images, labels in loader:
        optimizer.zero_grad()
        loss = loss_function(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    weights = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)]
    zeros.append(sum(int((weight == 0).sum()) for weight in weights))
torch.save(model.state_dict(), "trained.pt")
print(json.dumps({"losses": losses, "zeros": zeros}))
"""


@pytest.fixture
def cifar10(data_root: Path, tmp_path: Path) -> Path:
    """A data root with the first 1,000 and 200 images of CIFAR-10: decoding and testing 10,000 takes 10 s."""
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    for part, images in (("train", 1000), ("test", 200)):
        first = pq.read_table(data_root / "cifar10" / f"{part}-00000-of-00002.parquet").slice(0, images)
        pq.write_table(first, folder / f"{part}.parquet")
    return folder.parent


def test_a_cifar10_ticket_keeps_its_sparsity_and_trains_in_a_plain_script(
    cifar10: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "train.py").write_text(SCRIPT)
    for command in ("run grid.yaml --local --tracking none", "export grid.yaml ticket.safetensors"):
        monkeypatch.setattr("sys.argv", ["tickets", *command.split(), "--data", str(cifar10), "--store", "store"])
        with pytest.raises(SystemExit, match="0"):
            main()

    script = [sys.executable, "train.py", "ticket.safetensors", str(cifar10 / "cifar10" / "train.parquet")]
    said = subprocess.run(script, text=True, capture_output=True, timeout=600)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)

    ticket = Ticket.load(tmp_path / "ticket.safetensors")
    pruned = sum(int((~kept).sum()) for kept in ticket.mask.values())
    assert len(ticket.mask) == 16 and round(ticket.fraction_pruned, 3) == 0.75
    assert found["zeros"] == [pruned] * 3
    trained = torch.load(tmp_path / "trained.pt", weights_only=True)
    for name, kept in ticket.mask.items():
        assert torch.equal(trained[name] != 0, kept), name
        assert not torch.equal(trained[name], ticket.weights[name]) or not kept.any(), name
    first, last = (sum(found["losses"][part]) / 10 for part in (slice(0, 10), slice(-10, None)))
    assert last < first - 0.1


def test_a_ticket_of_the_full_vgg19_fits_torchvisions_convolutions(tmp_path: Path) -> None:
    ours = build(model_from({"name": "vgg19"}), [3, 32, 32], 10)
    initialize(ours, 0, model_from({"name": "vgg19"}))
    state = ours.state_dict()
    mask = {name: torch.rand(state[name].shape) < 0.1 for name in state if state[name].ndim == 4}
    Ticket(mask, state).save(tmp_path / "ticket.safetensors")

    with torch.device("meta"):  # its fully connected layers would take half a gigabyte
        features = torchvision.models.vgg19_bn().features
    theirs = nn.Sequential()
    theirs.features = features.to_empty(device="cpu")
    theirs.classifier = nn.Linear(512, 100)
    Ticket.load(tmp_path / "ticket.safetensors").apply(theirs)
    loaded = {f"features.{name}": weight for name, weight in features.state_dict().items()}
    assert list(loaded) == [name for name in state if name.startswith("features.")]
    for name, weight in loaded.items():
        assert torch.equal(weight, state[name] * mask[name] if name in mask else state[name]), name
