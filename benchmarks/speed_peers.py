"""The distillation of benchmarks/speed.py with other tools, each in an environment of its own.

`python benchmarks/speed_peers.py torchdistill|trainer CASE.npz --epochs 10 --run 1`: prints seconds of each epoch run
and the test accuracy, as JSON.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from speed_case import BATCH, DECAY, RATE, SOFT, STUDENT, TEMPERATURE, Case, accuracy, loss_of, network, normalised
from torch.utils.data import TensorDataset

WARM_UP = 0.3


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", choices=["torchdistill", "trainer"])
    parser.add_argument("case", type=Path)
    parser.add_argument("--epochs", type=int, default=10, help="of the schedule")
    parser.add_argument("--run", type=int, default=1, help="how many of them are run")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.manual_seed(options.seed)
    case, student = Case.load(options.case), network(STUDENT)
    tool = with_torchdistill if options.tool == "torchdistill" else with_trainer
    seconds, version = tool(case, student, options.epochs, options.run)
    print(json.dumps({"epochs": seconds, "accuracy": accuracy(student, case), "version": version}))


def with_torchdistill(case: Case, student: torch.nn.Module, epochs: int, run: int) -> tuple[list[float], str]:
    """Train with torchdistill's DistillationBox, configured as its examples are; return the seconds of each epoch."""
    import importlib.metadata

    from torchdistill.core.distillation import get_distillation_box

    data = TensorDataset(normalised(case.images), case.labels)
    loss = {
        "key": "KDLoss",
        "kwargs": {
            "student_module_path": ".", "student_module_io": "output",
            "teacher_module_path": ".", "teacher_module_io": "output",
            "temperature": TEMPERATURE, "alpha": 1 - SOFT, "reduction": "batchmean",
        },
    }  # fmt: skip
    steps = -(-len(data) // BATCH)
    schedule = {"max_lr": RATE, "total_steps": epochs * steps, "pct_start": WARM_UP, "cycle_momentum": False}
    config: dict[str, Any] = {
        "num_epochs": epochs,
        "train_data_loader": {
            "dataset_id": "train", "sampler": {"class_or_func": torch.utils.data.RandomSampler, "kwargs": {}},
            "kwargs": {"batch_size": BATCH, "num_workers": 0}, "requires_supp": True,
        },
        "val_data_loader": {
            "dataset_id": "train", "sampler": {"class_or_func": torch.utils.data.SequentialSampler, "kwargs": {}},
            "kwargs": {"batch_size": BATCH},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False, "wrapper": None},
        "student": {"forward_proc": "forward_batch_only", "wrapper": None},
        "optimizer": {"key": "AdamW", "kwargs": {"lr": RATE, "weight_decay": DECAY}},
        "scheduler": {"key": "OneCycleLR", "kwargs": schedule, "scheduling_step": 1},
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": {"criterion": loss, "weight": 1.0}}}},
    }  # fmt: skip
    box = get_distillation_box(case.teacher, student, {"train": data}, config, torch.device("cpu"), [], False, 1)
    seconds = []
    for epoch in range(run):
        began = time.perf_counter()
        box.pre_epoch_process(epoch=epoch)
        for inputs, labels, supplement in box.train_data_loader:
            box.pre_forward_process()
            box.post_forward_process(box.forward_process(inputs, labels, supp_dict=supplement))
        box.post_epoch_process()
        seconds.append(time.perf_counter() - began)
    return seconds, importlib.metadata.version("torchdistill")


def with_trainer(case: Case, student: torch.nn.Module, epochs: int, run: int) -> tuple[list[float], str]:
    """Train with a Hugging Face Trainer whose loss asks the teacher; return the seconds of each epoch."""
    import transformers

    images, labels = normalised(case.images), case.labels

    class Pictures(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
            return {"pixel_values": images[row], "labels": labels[row]}

    class Distiller(transformers.Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            with torch.no_grad():
                taught = case.teacher(inputs["pixel_values"])
            logits = model(inputs["pixel_values"])
            loss = loss_of(logits, taught, inputs["labels"])
            return (loss, logits) if return_outputs else loss

    class Clock(transformers.TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.seconds: list[float] = []

        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_epoch_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            self.seconds.append(time.perf_counter() - self.began)
            control.should_training_stop = len(self.seconds) == run

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.TrainingArguments(
            folder, num_train_epochs=epochs, per_device_train_batch_size=BATCH, learning_rate=RATE, weight_decay=DECAY,
            optim="adamw_torch", lr_scheduler_type="cosine", warmup_steps=int(WARM_UP * epochs * len(images) / BATCH),
            save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True, remove_unused_columns=False,
            logging_strategy="no",
        )  # fmt: skip
        Distiller(model=student, args=settings, train_dataset=Pictures(), callbacks=[clock]).train()
    return clock.seconds, transformers.__version__


if __name__ == "__main__":
    main()
