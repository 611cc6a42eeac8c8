"""The zoo: small readable architectures, and what turns any module into a model.

Every architecture takes the shape of one sample and the number of classes first; what follows in its
signature is what a recipe may set.
"""

from limbeck.models.attention import Attention
from limbeck.models.boosting import Boosting
from limbeck.models.cnn import CNN
from limbeck.models.forest import Forest
from limbeck.models.gru import GRU
from limbeck.models.lenet import LeNet5, LeNet5_Half
from limbeck.models.linear import Linear
from limbeck.models.mlp import MLP
from limbeck.models.resnet import ResNet
from limbeck.models.tree import Tree
from limbeck.models.vgg import VGG
from limbeck.models.wrn import WRN

__all__ = [
    "CNN", "GRU", "MLP", "VGG", "WRN", "Attention", "Boosting", "Forest", "LeNet5", "LeNet5_Half", "Linear", "ResNet",
    "Tree",
]  # fmt: skip
