"""A teacher behind two doors: an ONNX file, and a file of its answers. Run it in an empty folder; half a minute."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn.ensemble import ExtraTreesClassifier
from torch import nn

import limbeck

data = limbeck.Data.open("digits")
pixels, labels = data.pool.batch(data.train).inputs, data.pool.labels[data.train]


class Net(nn.Module):
    """A teacher as somebody else might have trained and exported it: pictures in 0..1 in, logits out."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.head = nn.Linear(16 * width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


torch.manual_seed(0)
net = Net()
optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
for _ in range(60):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(pixels), labels).backward()
    optimizer.step()
batch = {"x": {0: torch.export.Dim("batch")}}
torch.onnx.export(net.eval(), (pixels[:2],), "teacher.onnx", dynamic_shapes=batch, external_data=False, verbose=False)

# The other door: a forest, which no gradient passes through, answers once for every sample, the test samples too.
forest = ExtraTreesClassifier(100, random_state=0).fit(pixels.flatten(1).numpy(), labels.numpy())
ids = [*data.pool.ids, *data.test.ids]
samples = torch.cat([one.batch(torch.arange(len(one))).inputs.flatten(1) for one in (data.pool, data.test)])
chances = forest.predict_proba(samples.numpy())
columns = {name: chances[:, number] for number, name in enumerate(data.classes)}
pq.write_table(pa.table({"id": ids, **columns}), "answers.parquet")

terms = [(0.9, limbeck.SoftLabels(temperature=4)), (0.1, limbeck.CrossEntropy()), (1e-4, limbeck.WeightPenalty())]
train = limbeck.Settings(epochs=20, batch_size=64, lr=0.01, weight_decay=0)  # the penalty takes its place
for door in ("onnx:teacher.onnx", "labels:answers.parquet"):
    result = limbeck.distill(
        door, lambda: limbeck.models.MLP((1, 8, 8), 10, hidden=(32,)), data, objective=limbeck.Objective(terms),
        train=train, seeds=3, labels_per_class=20, controls=("teacher_labels",), name=door.partition(":")[0],
    )  # fmt: skip
    print(f"{door}: {result.verdict['sentence']}")
    for name, one in (("teacher", result.report["models"]["teacher"]), ("shipped", result.report["export"]["onnx"])):
        size, times = one["bytes"] or os.path.getsize("answers.parquet"), one["latency_ms"]
        speed = f"{np.round(times[0]['p50'], 3)} ms a sample" if times else "no latency: it is a table"
        print(f"  {name}: {one['metrics']['accuracy']['mean']:.1%} right, {size:,} bytes, {speed}")
