"""What the soak asks of one job: travels as the dispatch's metadata."""

from __future__ import annotations

from random import Random

from pydantic import BaseModel, ConfigDict

# Jobs that raise in their entrypoint: enough to be seen in every batch, few enough to leave the rest the usual path.
FAIL_SHARE = 0.02
# How long a job stays once its datastores answered. Two cores start about 4 job processes a second, whatever the jobs
# do; shorter stays would leave most slots free, longer ones would leave the machine waiting.
STAY_SECONDS = (1.0, 4.0)


class Asked(BaseModel):
    """One job's orders."""

    model_config = ConfigDict(frozen=True)

    number: int
    stay_seconds: float
    fail: bool
    caller: bool = False
    """It joins its room, where it answers a caller until he hangs up."""

    @staticmethod
    def drawn(number: int, random: Random) -> Asked:
        return Asked(
            number=number, stay_seconds=random.uniform(*STAY_SECONDS), fail=random.random() < FAIL_SHARE
        )
