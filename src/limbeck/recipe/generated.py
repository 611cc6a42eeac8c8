"""The section of generated samples."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Literal

from pydantic import Field, model_validator

from limbeck.errors import did_you_mean
from limbeck.recipe.choices import Count
from limbeck.recipe.schema import Strict
from limbeck.synthesis.presets import PresetName
from limbeck.synthesis.weights import Weights

TERMS = tuple(field.name for field in fields(Weights))
Above = Annotated[float, Field(gt=0)]


class GeneratedSection(Strict):
    """Samples that nobody took, in the place of the training samples that the student does not have.

    preset: how they are made, from the teacher alone (`dafl`, `deep_inversion`, `cmi`, `fast_meta`), by a GAN on the
    few real samples that there are (`gan`), by asking a teacher that only answers (`evolution`), or not at all:
    `noise`, and `proxy`, another source of samples.
    pool: how many samples are kept at most, the newest ones.
    batch: how many are made at once.
    rounds: how often that is done; as the preset has it unless given.
    minutes: of work, after which it ends earlier; results then depend on the machine's speed.
    steps: in which a batch is made; as the preset has it unless given.
    student_steps: of the student that learns beside, after each batch; as the preset has it unless given.
    restart: rounds after which a generator that goes on learning begins again, the student and the pool as they are, so
    that it finds other samples; never unless given; for `dafl`.
    rate: learning rate of what makes samples; as the preset has it unless given.
    weights: of terms, in the place of the preset's: one_hot, balance, activation, batch_norm, adversarial,
    disagreement, contrastive, total_variation.
    latent: numbers that a generator starts from.
    width: channels of a generator.
    queries: questions that `evolution` asks at most, the student's own about the finished samples apart; 20 for each
    sample of the pool unless given.
    seed: what samples are drawn by; one pool serves all seeds of a run.
    statistics: what is known of the inputs of the teacher's layers, its batch norms (`teacher`), else measured on its
    training samples (`recorded`), or `none`.
    real: whether labelled real samples are there as well, for stages that learn labels and for controls (`labels`), or
    beside generated ones in every stage (`together`).
    proxy: the source of other samples, for the preset and the control of that name.
    """

    preset: PresetName = "fast_meta"
    pool: Count = 5000
    batch: Annotated[int, Field(ge=2)] = 250
    rounds: Count | None = None
    minutes: Above | None = None
    steps: Count | None = None
    student_steps: Annotated[int, Field(ge=0)] | None = None
    restart: Count | None = None
    rate: Above | None = None
    weights: dict[str, float] = Field(default_factory=dict)
    latent: Count = 64
    width: Count = 16
    queries: Count | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    statistics: Literal["teacher", "recorded", "none"] = "teacher"
    real: Literal["none", "labels", "together"] = "none"
    proxy: str | None = None

    @model_validator(mode="after")
    def _keys_that_fit(self) -> GeneratedSection:
        for name in self.weights:
            if name not in TERMS:
                raise ValueError(f"weights expects {', '.join(TERMS)}, got {name!r}.{did_you_mean(name, TERMS)}")
        if self.preset == "gan" and self.real == "none":
            raise ValueError("the preset gan learns from the real samples that there are; set real: labels, got none")
        if self.restart is not None and self.preset != "dafl":
            raise ValueError(f"restart is for a generator that goes on learning, of preset dafl; got {self.preset}")
        if self.preset == "proxy" and self.proxy is None:
            raise ValueError("the preset proxy takes samples of another source; expected proxy: such as folder:PHOTOS")
        if self.queries is not None and self.preset != "evolution":
            raise ValueError(f"queries is for the preset evolution; got {self.preset}")
        if self.queries is not None and self.queries < 2 * self.pool:
            raise ValueError(
                f"queries expects two for each of {self.pool} samples of the pool at least, got {self.queries}"
            )
        if self.pool < self.batch and self.preset != "evolution":
            raise ValueError(f"pool expects room for a batch of {self.batch} samples at least, got {self.pool}")
        return self
