"""How long this machine takes for what surrounds a training: learnt from its runs, to be kept free.

Where nothing was learnt, usual times stand.
"""

import os

from automl.clock import Clock
from automl.planning import learnt
from automl.recipe.schema import Recipe

USUAL_S = {
    "start": 2.5,
    "prepare": 1.0,
    "plan": 2.0,
    "setup": 4.0,
    "evaluate": 1.0,
    "report": 2.5,
    "record": 3.0,
    "end": 1.0,
}
"""On two cores of a server, with room above what is usual there; `setup` is what a training does
before its first step, `evaluate` is without the time that the images take, `end` is after the last
stage."""
UNTOLD_S = 0.05
"""A shorter start is none: a stage that is run alone, or called from Python, has no age."""
MOST_BUSY = 2.5
UNRECORDED_S = 0.5
"""Of a record that is turned off."""
KEPT = 8
LONGEST_S = 1e5


def load_factor() -> float:
    """How many times longer things take on a busy machine: by the load of the last minute."""
    try:
        waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        return 1.0
    return min(MOST_BUSY, max(1.0, waiting))


def overhead_seconds(recipe: Recipe, clock: Clock, slower: float = 1.0) -> dict[str, float]:
    """Seconds of every stage but the epochs: what has passed, and the usual for what follows.

    The usual is the median of what was measured; where nothing was, a machine that took longer to
    start is taken to be slow in all else. A verb that plans and runs nothing does not say how long
    a run takes to start. `slower` is the `load_factor`.
    """
    known, passed = learnt.read().get(_key(recipe), {}), clock.passed()
    unknown = min(MOST_BUSY, max(slower, passed.get("start", 0.0) / USUAL_S["start"]))
    usual = {
        name: (slower if name in known else unknown) * _usual(name, known.get(name))
        for name in USUAL_S
    }
    if recipe.track.mlflow == "off" and "record" not in known:
        usual["record"] = UNRECORDED_S
    start, planning = passed.get("start", 0.0), passed.get("plan", 0.0)
    return {
        **usual,
        "start": start if start > UNTOLD_S else usual["start"],
        "prepare": passed.get("prepare", 0.0),
        "plan": max(usual["plan"], planning),
    }


def record_overhead(recipe: Recipe, clock: Clock, slower: float = 1.0) -> None:
    """Keeps what a whole run would take on an idle machine; without a cache nothing is learnt."""
    clock.keep()
    took = clock.passed()
    if clock.resumed:
        return
    if clock.setup_s is not None:
        took["setup"] = clock.setup_s
    everything = learnt.read()
    known = everything.setdefault(_key(recipe), {})
    for name in (USUAL_S.keys() & took.keys()) - {"evaluate"}:
        if name == "start" and took[name] <= UNTOLD_S:
            continue  # whoever ran it did not say when it began
        before = known.get(name)
        known[name] = [
            *(before if isinstance(before, list) else []),
            round(took[name] / slower, 3),
        ][-KEPT:]
    learnt.write(everything)


def _usual(name: str, measured: object) -> float:
    values = measured if isinstance(measured, list) else []
    numbers = sorted(v for v in values if isinstance(v, int | float) and 0 <= v < LONGEST_S)
    return float(numbers[len(numbers) // 2]) if numbers else USUAL_S[name]


def _key(recipe: Recipe) -> str:
    """By machine, for another one may share the folder, and by what a run does beside training."""
    track = recipe.track
    beside = f"{recipe.task} mlflow={track.mlflow != 'off'} dvc={track.dvc}"
    return f"{learnt.machine()} {beside}"
