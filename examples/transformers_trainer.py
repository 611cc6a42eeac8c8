"""limbeck.Objective in Hugging Face's Trainer, with a fair control. Needs transformers; it takes seconds."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetForImageClassification, Trainer, TrainingArguments, set_seed

import limbeck

data = limbeck.Data.open("digits")
train = data.pool.batch(data.train)
test = data.test.batch(torch.arange(len(data.test)))
labels = data.visible_labels(labels_per_class=10, seed=0)[data.train]  # -1 where a label is hidden
settings = {
    "output_dir": "trainer", "max_steps": 150, "per_device_train_batch_size": 64, "learning_rate": 0.005,
    "use_cpu": True, "report_to": "none", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True,
}  # fmt: skip


class Distiller(Trainer):
    """A Trainer whose loss is the objective's; the teacher is a model like the student."""

    def __init__(self, objective: limbeck.Objective, teacher: nn.Module | None, **known: Any) -> None:
        super().__init__(**known)
        self.objective, self.teacher = objective, teacher

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: Any) -> Any:
        pixels = inputs["pixel_values"]
        outputs = model(pixel_values=pixels)
        with torch.no_grad():  # the teacher in evaluation mode, its answers without gradients
            said = limbeck.Knowledge(logits=self.teacher(pixels).logits) if self.teacher else limbeck.Knowledge()
        batch = limbeck.Batch(inputs=pixels, labels=inputs["labels"])
        loss, _ = self.objective(limbeck.Outputs(logits=outputs.logits), said, batch)
        return (loss, outputs) if return_outputs else loss


def fit(name: str, width: int, objective: limbeck.Objective, labels: Tensor, teacher: nn.Module | None = None) -> Any:
    """Return a small residual network after 150 steps on whatever the objective says."""
    set_seed(0)  # student and control start alike
    shape = {"num_channels": 1, "embedding_size": width, "hidden_sizes": [width, 2 * width], "depths": [1, 1]}
    model = ResNetForImageClassification(ResNetConfig(layer_type="basic", num_labels=10, **shape))
    rows = range(len(labels)) if objective.uses_unlabelled else (labels >= 0).nonzero().flatten().tolist()
    shown = [{"pixel_values": train.inputs[row], "labels": labels[row]} for row in rows]
    Distiller(objective, teacher, model=model, args=TrainingArguments(**settings), train_dataset=shown).train()
    accuracy = (model.eval()(test.inputs).logits.argmax(1) == test.labels).float().mean()
    print(f"{name} {accuracy:.1%}  by {objective.describe()}")
    return model


objective = limbeck.Objective([(0.9, limbeck.SoftLabels(temperature=4)), (0.1, limbeck.CrossEntropy())])
teacher = fit("teacher", 32, objective.control(), train.labels)
fit("student", 8, objective, labels, teacher)
fit("control", 8, objective.control(), labels)
print("One seed and no intervals: limbeck.distill does the rest of what a verdict on distillation takes.")
