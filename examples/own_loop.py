"""limbeck.Objective in a plain PyTorch loop, with a fair control. Run it anywhere; it takes seconds."""

import torch
from torch import nn

import limbeck

torch.manual_seed(0)
data = limbeck.Data.open("digits")
train = data.pool.batch(data.train)
test = data.test.batch(torch.arange(len(data.test)))
labels = data.visible_labels(labels_per_class=10, seed=0)[data.train]  # -1 where a label is hidden


def mlp(hidden: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def fit(model: nn.Module, objective: limbeck.Objective, labels: torch.Tensor, teacher: nn.Module | None) -> float:
    """Train for 400 steps on whatever the objective says; return the accuracy on test samples."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    rows = torch.arange(len(labels)) if objective.uses_unlabelled else (labels >= 0).nonzero().flatten()
    for _ in range(400):
        chosen = rows[torch.randint(len(rows), (64,))]
        batch = limbeck.Batch(inputs=train.inputs[chosen], labels=labels[chosen])
        with torch.no_grad():  # the teacher in evaluation mode, its answers without gradients
            knowledge = limbeck.Knowledge(logits=teacher.eval()(batch.inputs)) if teacher else limbeck.Knowledge()
        loss, _ = objective(limbeck.Outputs(logits=model(batch.inputs)), knowledge, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float((model.eval()(test.inputs).argmax(1) == test.labels).float().mean())


teacher = mlp(256)
print(f"teacher  {fit(teacher, limbeck.Objective([(1.0, limbeck.CrossEntropy())]), train.labels, None):.1%}")

objective = limbeck.Objective([(0.9, limbeck.SoftLabels(temperature=4)), (0.1, limbeck.CrossEntropy())])
start = mlp(8).state_dict()  # student and controls start alike
for name, told in (
    ("student", objective),
    ("labels", objective.control()),
    ("teacher_labels", objective.control(teacher_labels=True)),
):
    student = mlp(8)
    student.load_state_dict(start)
    print(f"{name:8} {fit(student, told, labels, teacher if told.needs else None):.1%}  by {told.describe()}")
print("One seed and no intervals: limbeck.distill does the rest of what a verdict on distillation takes.")
