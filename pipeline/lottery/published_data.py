"""Published data sets by name: what is in them, and which files are read where. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.recipes.augmentation import Augment
from pipeline.recipes.model_base import ImageShape

SQUARE = 256
"""Side of what is stored of a picture of ImageNet and Places365: the middle, the shorter side being 256."""
IMAGENET_STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation by channel that torchvision's models use: ImageNet's and, as usual, Places365's."""
_DIGITS = Augment(crop=4)
"""A mirrored digit is another digit."""
_THINGS = Augment(flip=True, crop=4)
_SCENES = Augment(flip=True, resized_crop=True)


@dataclass(frozen=True)
class Published:
    """`folder` is below the data root; `files` are below `folder`."""

    torchvision: str
    """Its class in torchvision.datasets; empty where there is none."""
    folder: str
    files: tuple[str, ...]
    shape: ImageShape
    """Channels, height, width, as models see it by default."""
    images: int
    test_images: int
    classes: int
    counts: tuple[int, ...] | None = None
    """Training images by label; None: as many as its folders hold."""
    source: str = ""
    """Where its files come from if torchvision does not download them."""
    root: str = ""
    """What torchvision calls the root, below the data root."""
    options: tuple[str, ...] = ("download=True",)
    """Arguments with which torchvision makes the files, one call each."""
    augment: Augment = _THINGS
    """The default augmentation: the table of defaults in PAPERS.md."""
    square: int | None = None
    """Side to which pictures of any size are resized and cropped, if models see the middle of that."""
    module: str = "torchvision_sets"
    """Of `lottery.data`, where a function of its name loads it."""

    @property
    def downloads(self) -> bool:
        """Whether a run has torchvision download it, where there is a network."""
        return self.source == _NETWORK

    def missing(self, root: Path) -> list[str]:
        """Those of `files` that are not there; an archive may be unpacked."""
        folder = root / self.folder
        return [name for name in self.files if not any((folder / n).exists() for n in (name, name.removesuffix(".gz")))]

    def lacks(self, name: str, root: Path) -> str:
        """A sentence: which of its files are missing, and where they should be."""
        return f"{name} is not complete in {root / self.folder}: missing {', '.join(self.missing(root))}."

    def how(self, root: Path) -> str:
        """How to get the files, for a person who has a network and Python."""
        if not self.torchvision:
            return self.source
        calls = "; ".join(f"d.{self.torchvision}({str(root / self.root)!r}, {option})" for option in self.options)
        return f'{self.source}\n  python -c "import torchvision.datasets as d; {calls}"'


_IDX = tuple(f"{part}-{what}.gz" for part in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte"))
_NETWORK = "Where there is a network:"
_SMALLNORB = tuple(
    f"smallnorb-5x{part}-{what}.mat.gz"
    for part in ("46789x9x18x6x2x96x96-training", "01235x9x18x6x2x96x96-testing")
    for what in ("dat", "cat", "info")
)
_NORB = (
    "Neither torchvision nor any run downloads it: its authors publish these files, packed or unpacked, on "
    "the page of the data set (NORB object recognition data set, small set, New York University)."
)
_IMAGENET = (
    "ImageNet is not downloaded: get ILSVRC2012_devkit_t12.tar.gz, ILSVRC2012_img_train.tar and "
    "ILSVRC2012_img_val.tar from image-net.org (it asks for registration) into that folder, "
    "and have torchvision unpack them:"
)
_PLACES = "Places365 is 26 GB, and no run downloads it. Where there is a network, have torchvision get it once:"

PUBLISHED = {
    "mnist": Published(
        "MNIST",
        "MNIST/raw",
        _IDX,
        (1, 28, 28),
        60_000,
        10_000,
        10,
        (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        _NETWORK,
        augment=_DIGITS,
        module="mnist",
    ),
    "fashion_mnist": Published(
        "FashionMNIST",
        "FashionMNIST/raw",
        _IDX,
        (1, 28, 28),
        60_000,
        10_000,
        10,
        (6000,) * 10,
        _NETWORK,
        module="mnist",
    ),
    "svhn": Published(
        "SVHN",
        "svhn",
        ("train_32x32.mat", "test_32x32.mat"),
        (3, 32, 32),
        73_257,
        26_032,
        10,
        (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
        _NETWORK,
        "svhn",
        ("'train', download=True", "'test', download=True"),
        _DIGITS,
    ),
    "cifar10": Published(
        "CIFAR10",
        "cifar-10-batches-py",
        (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"),
        (3, 32, 32),
        50_000,
        10_000,
        10,
        (5000,) * 10,
        _NETWORK,
    ),
    "cifar100": Published(
        "CIFAR100",
        "cifar-100-python",
        ("train", "test", "meta"),
        (3, 32, 32),
        50_000,
        10_000,
        100,
        (500,) * 100,
        _NETWORK,
    ),
    "smallnorb": Published(  # the left camera; Table 2 of Mehta 2019 contradicts it (40,000 and 10,000 of 28x28)
        "", "smallnorb", _SMALLNORB, (1, 96, 96), 24_300, 24_300, 5, (4860,) * 5, _NORB, module="smallnorb"
    ),
    "imagenet": Published(
        "ImageNet",
        "imagenet",
        ("meta.bin", "train", "val"),
        (3, 224, 224),
        1_281_167,
        50_000,
        1000,
        None,
        _IMAGENET,
        "imagenet",
        ("'train'", "'val'"),
        _SCENES,
        SQUARE,
    ),
    "places365": Published(
        "Places365",
        "places365",
        (
            "categories_places365.txt",
            "places365_train_standard.txt",
            "places365_val.txt",
            "data_256_standard",
            "val_256",
        ),
        (3, 224, 224),
        1_803_460,
        36_500,
        365,
        None,
        _PLACES,
        "places365",
        ("'train-standard', small=True, download=True", "'val', small=True, download=True"),
        _SCENES,
        SQUARE,
    ),
}
