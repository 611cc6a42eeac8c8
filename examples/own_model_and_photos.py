"""Your own model, your own pictures: distil, export, predict. Run it in an empty folder; it takes half a minute."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn

import limbeck


class Net(nn.Module):
    """A module that returns a tuple (logits, features), as many do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
        )
        self.head = nn.Linear(16 * width, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.body(x)
        return self.head(features), features


def draw(folder: Path, count: int = 200) -> None:
    """Draw apples and limes: blobs of any size and place, reddish or greenish, on a random ground."""
    random = np.random.default_rng(0)
    for number in range(count):
        image = Image.new("RGB", tuple(random.integers(40, 90, 2)), tuple(random.integers(0, 120, 3)))
        x, y, side = *random.integers(2, 12, 2), random.integers(14, 26)
        name, colour = (("apple", (190, 100, 60)), ("lime", (130, 160, 60)))[number % 2]
        paint = tuple(np.clip(random.normal(colour, 30), 0, 255).astype(int))
        ImageDraw.Draw(image).ellipse((x, y, x + side, y + side), fill=paint)
        (folder / name).mkdir(parents=True, exist_ok=True)
        image.save(folder / name / f"{number}.png")


draw(Path("photos"))
data = limbeck.Data.open("folder:photos", options=limbeck.ReadOptions(size=32))

teacher = Net(width=32)  # trained as you always do; here in a plain loop
optimizer = torch.optim.AdamW(teacher.parameters(), lr=0.01)
for _ in range(150):
    batch = data.pool.batch(data.train)
    optimizer.zero_grad()
    nn.functional.cross_entropy(teacher(batch.inputs)[0], batch.labels).backward()
    optimizer.step()

train = limbeck.Settings(epochs=30, batch_size=16, lr=0.01)
result = limbeck.distill(teacher, lambda: Net(width=4), data, train=train, seeds=3, name="fruit")
print(result.verdict["sentence"])
for line in limbeck.predict(result.folder, sorted(Path("photos/apple").glob("*.png"))[:3]):
    print(line)
