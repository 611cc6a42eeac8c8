"""limbeck.Objective in a LightningModule, with a fair control. Needs lightning; it takes seconds."""

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck

data = limbeck.Data.open("digits")
train = data.pool.batch(data.train)
test = data.test.batch(torch.arange(len(data.test)))
labels = data.visible_labels(labels_per_class=10, seed=0)[data.train]  # -1 where a label is hidden
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def mlp(hidden: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))


class Distilled(lightning.LightningModule):
    """Any student. Terms are modules too: what they own is trained and saved with the rest."""

    def __init__(self, student: nn.Module, objective: limbeck.Objective, teacher: nn.Module | None) -> None:
        super().__init__()
        self.student, self.objective, self.teacher = student, objective, teacher

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        inputs, labels = batch
        with torch.no_grad():  # in evaluation mode, whatever Lightning's train() has said
            said = limbeck.Knowledge(logits=self.teacher.eval()(inputs)) if self.teacher else limbeck.Knowledge()
        outputs = limbeck.Outputs(logits=self.student(inputs))
        loss, parts = self.objective(outputs, said, limbeck.Batch(inputs=inputs, labels=labels))
        self.log_dict(parts)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW([*self.student.parameters(), *self.objective.parameters()], lr=0.01)


def fit(student: nn.Module, objective: limbeck.Objective, labels: Tensor, teacher: nn.Module | None = None) -> float:
    """Train for 400 steps on whatever the objective says; return the accuracy on test samples."""
    lightning.seed_everything(0, verbose=False)
    rows = torch.arange(len(labels)) if objective.uses_unlabelled else (labels >= 0).nonzero().flatten()
    loader = DataLoader(TensorDataset(train.inputs[rows], labels[rows]), batch_size=64, shuffle=True)
    model = Distilled(student, objective, teacher)
    lightning.Trainer(max_steps=400, max_epochs=-1, accelerator="cpu", **quiet).fit(model, loader)
    return float((student.eval()(test.inputs).argmax(1) == test.labels).float().mean())


objective = limbeck.Objective([(0.9, limbeck.SoftLabels(temperature=4)), (0.1, limbeck.CrossEntropy())])
teacher, student, control = mlp(256), mlp(8), mlp(8)
control.load_state_dict(student.state_dict())  # student and control start alike
print(f"teacher {fit(teacher, objective.control(), train.labels):.1%}")
print(f"student {fit(student, objective, labels, teacher):.1%}  by {objective.describe()}")
print(f"control {fit(control, objective.control(), labels):.1%}  by {objective.control().describe()}")
print("One seed and no intervals: limbeck.distill does the rest of what a verdict on distillation takes.")
