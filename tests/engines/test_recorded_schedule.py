"""What the journal says of clock and memory, as a reproduction repeats it."""

import pytest

from automl.engines.recorded_schedule import Replay, read, recorded
from automl.run_dir import RunDir
from tests.engines.toy import plan_of


def epoch(number, total):
    return {"event": "epoch", "epoch": number, "total": total}


def memory(epoch, step, micro):
    return {"event": "memory", "epoch": epoch, "step": step, "micro_batch": micro}


def resume(epoch, step=0):
    return {"event": "resume", "epoch": epoch, "step": step}


START = {"event": "start"}
TASK = "classification"


def test_recorded__a_budget_cuts_what_was_to_be():
    plan = plan_of(TASK, budget_s=5.0)
    found = recorded(plan, [epoch(1, 9), epoch(2, 9), epoch(3, 4), epoch(4, 4)])
    assert found.totals == (9, 4, 4, 4)
    assert recorded(plan, [epoch(1, 9)]).totals == (1,)


def test_recorded__without_a_budget_the_plan_says_it():
    found = recorded(plan_of(TASK), [epoch(1, 2), epoch(2, 2)])
    assert found.totals == ()


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([START, memory(1, 3, 4), epoch(1, 2), memory(2, 1, 2)], [(0, 2, 4), (1, 0, 2)]),
        # killed, and gone on with from a checkpoint before memory ran out: it ran out anew
        ([memory(2, 3, 4), START, resume(1), memory(2, 5, 4)], [(1, 4, 4)]),
        ([memory(1, 3, 4), epoch(1, 2), START, resume(1)], [(0, 2, 4)]),
        # it ran out while weights were moved: from the checkpoint on with half
        ([epoch(1, 3), memory(2, 3, 4), resume(1), epoch(2, 3)], [(1, 0, 4)]),
    ],
)
def test_recorded__where_memory_ran_out(events, found):
    assert list(recorded(plan_of(TASK), events).micro_batches) == found


def pace(epoch, step, steps):
    return {"event": "pace", "epoch": epoch, "step": step, "steps": steps}


def test_recorded__where_a_budget_decided_anew():
    events = [START, pace(0, 0, 90), pace(0, 4, 40), epoch(1, 4), pace(1, 0, 55), pace(2, 3, 33)]
    plan = plan_of(TASK, budget_s=5.0)
    found = recorded(plan, events)
    assert found.ends == ((0, 0, 90), (0, 4, 40), (1, 0, 55), (2, 3, 33))
    # killed, and gone on with from a checkpoint, which tells what holds from there on
    found = recorded(plan, [*events, START, resume(1), pace(1, 0, 40), pace(1, 2, 30)])
    assert found.ends == ((0, 0, 90), (0, 4, 40), (1, 0, 40), (1, 2, 30))
    assert [found.total_steps(at, 7) for at in ((0, 3), (0, 4), (1, 1), (9, 9))] == [90, 40, 40, 30]
    assert Replay().total_steps((0, 0), 7) == 7


def test_replay__a_run_that_counted_in_epochs_repeats_them():
    assert Replay((4, 3)).in_steps(10).ends == ((1, 0, 40), (2, 0, 30))


def test_replay__images_at_once_by_position():
    replay = Replay((), ((0, 2, 4), (1, 5, 2)))
    assert [replay.micro_batch(at, 8) for at in ((0, 0), (0, 2), (1, 4), (1, 5), (2, 0))] == [
        8, 4, 4, 2, 2,
    ]  # fmt: skip
    assert replay.next_change((0, 0), 7) == 2
    assert replay.next_change((0, 2), 7) == 7
    assert replay.next_change((1, 0), 7) == 5
    assert replay.next_change((1, 5), 7) == 7


def test_read__what_was_written(tmp_path):
    run = RunDir(tmp_path)
    assert read(run) == Replay()
    replay = Replay((4, 3), ((0, 1, 4),), ((0, 0, 9),), ((0, 200), (7, 90)))
    replay.write(run, run)
    assert read(run) == replay
