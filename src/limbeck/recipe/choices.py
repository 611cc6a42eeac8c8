"""What a recipe can choose by name: models, terms, changes of pictures; and their sections."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

import limbeck.models
import limbeck.objectives
from limbeck.data.affine import Crop, Rotate, Scale
from limbeck.data.elastic import Elastic
from limbeck.data.erase import Erase
from limbeck.data.light import Brightness, Contrast
from limbeck.data.mixup import Mixup
from limbeck.data.noise import Noise
from limbeck.data.views import Flip, Shift
from limbeck.models.library import LIBRARIES
from limbeck.objectives.base import snake_case
from limbeck.recipe.schedule import ScheduleSection
from limbeck.recipe.schema import Choice, choice_of, section_of
from limbeck.train.settings import Settings

MODELS = {name.lower(): getattr(limbeck.models, name) for name in limbeck.models.__all__} | LIBRARIES
TERMS = {snake_case(name): getattr(limbeck.objectives, name) for name in limbeck.objectives.__all__}
TRANSFORMS = {
    one.__name__.lower(): one
    for one in (Shift, Flip, Rotate, Scale, Crop, Elastic, Erase, Brightness, Contrast, Noise, Mixup)
}

WEIGHT = (Annotated[float | ScheduleSection, Field(description="what the finished term is multiplied by")], 1.0)
TASK = (Annotated[str | None, Field(description="which of `tasks` the term is about; the main one unless given")], None)

ModelChoice: Any = choice_of("Model", sorted(MODELS.items()), own=True)
TermChoice: Any = choice_of("Term", sorted(TERMS.items()), extra={"weight": WEIGHT, "task": TASK}, own=True)
TransformChoice: Any = choice_of("Transform", sorted(TRANSFORMS.items()), own=True)
TrainSection: Any = section_of(Settings, name="Train")

OF_EVERY_TERM = ("weight", "task")
Count = Annotated[int, Field(ge=1)]


def build_choice(choice: Choice, constructors: dict[str, Any]) -> Any:
    """Call the chosen constructor with its options."""
    return constructors[choice.name](**own_options(choice))


def own_options(choice: Choice) -> dict[str, Any]:
    """Return the options that the chosen constructor gets: all but those that the recipe gives to every term."""
    return {key: value for key, value in choice.options.items() if key not in OF_EVERY_TERM}
