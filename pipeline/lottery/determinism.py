"""Settings under which the same stage gives the same bits on the same hardware."""

import os

import torch
import torch.utils.deterministic


def deterministic() -> None:
    """One intra-op thread, deterministic algorithms, no cuDNN benchmarking: for the whole process.

    A worker calls this once, before anything runs on a GPU (cuBLAS reads its workspace setting when CUDA starts).
    Results differ between one and two intra-op threads, so the number is fixed. Operations without a deterministic
    implementation warn instead of failing, because a user's model may need one. float32 means TF32 on GPUs that have
    it, in convolutions and matrix products alike: it is as deterministic, and several times as fast.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)  # with it, torch keeps NCCL from sums in any order (NVLS)
    # By the older settings: torch.compile of some versions reads them, and fails once the newer ones were used.
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    # Filling every fresh tensor with NaN is a debugging aid that comes with the setting above and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # torch's stub lacks it
