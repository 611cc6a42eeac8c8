"""The zoo: small readable architectures, and what turns any module into a model.

Every architecture takes the shape of one sample and the number of classes first; what follows in its
signature is what a recipe may set.
"""

from limbeck.models.cnn import CNN
from limbeck.models.lenet import LeNet5, LeNet5_Half
from limbeck.models.linear import Linear
from limbeck.models.mlp import MLP

__all__ = ["CNN", "MLP", "LeNet5", "LeNet5_Half", "Linear"]
