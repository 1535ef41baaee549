"""Segments: a border at every break of the rhythm, and nowhere else."""

import numpy as np
import pytest

from kgdyn.trajectories.segments import interval_from_times, segment_offsets


def kinds(findings):
    return [(finding.kind, finding.frame) for finding in findings]


@pytest.mark.parametrize(
    ("steps", "offsets", "found"),
    [
        ([0, 10, 20, 30], [0, 4], []),
        ([7], [0, 1], []),
        ([0, 10, 20, 20, 30], [0, 3, 5], [("repeat", 3)]),
        ([0, 10, 20, 10, 20, 30], [0, 3, 6], [("back", 3)]),
        ([0, 10, 20, 50, 60], [0, 3, 5], [("gap", 3)]),
        ([0, 10, 15, 20, 30, 40], [0, 2, 3, 6], [("short", 2), ("short", 3)]),
        ([5, 5, 5], [0, 1, 2, 3], [("repeat", 1), ("repeat", 2)]),
        ([30, 20, 10], [0, 1, 2, 3], [("back", 1), ("back", 2)]),
        # A tie goes to the smaller difference.
        ([0, 10, 30], [0, 2, 3], [("gap", 2)]),
        # An interval that changes keeps the longer half.
        ([0, 10, 20, 40, 60, 80], [0, 1, 2, 6], [("short", 1), ("short", 2)]),
    ],
)
def test_steps(steps, offsets, found):
    result, findings = segment_offsets(steps)
    assert result.tolist() == offsets
    assert kinds(findings) == found


def test_no_pair_within_a_segment_is_irregular():
    rng = np.random.default_rng(1)
    steps = np.cumsum(rng.choice([-30, 0, 10, 10, 10, 10, 20], size=400))
    offsets, findings = segment_offsets(steps)
    slow = [0] + [i for i in range(1, 400) if steps[i] - steps[i - 1] != 10] + [400]
    assert offsets.tolist() == slow
    assert len(findings) == len(slow) - 2


def test_unknown_steps_and_times_are_one_segment():
    offsets, findings = segment_offsets(n_frames=5)
    assert offsets.tolist() == [0, 5]
    assert findings == []


@pytest.mark.parametrize("interval", [0.002, 0.1, 1.0, 20.0])
def test_float32_times_of_a_long_run_are_regular(interval):
    start = 1e5 * interval
    times = (start + interval * np.arange(5000)).astype(np.float32).astype(np.float64)
    offsets, _ = segment_offsets(times=times)
    assert offsets.tolist() == [0, 5000]
    assert interval_from_times(times, offsets) == pytest.approx(interval, rel=1e-5)


def test_coarse_float32_times_still_show_a_missing_frame():
    # At 9e5 ps float32 numbers are 1/16 ps apart, more than half of this interval.
    times = 9e5 + 0.1 * np.delete(np.arange(1000), 500)
    offsets, findings = segment_offsets(times=times.astype(np.float32))
    assert offsets.tolist() == [0, 500, 999]
    assert kinds(findings) == [("gap", 500)]


def test_double_times_are_held_to_a_thousandth_of_the_interval():
    times = 0.1 * np.arange(20) + 1e-3
    assert segment_offsets(times=times)[0].tolist() == [0, 20]
    times[10:] += 0.00005
    assert segment_offsets(times=times)[0].tolist() == [0, 20]
    times[10:] += 0.0002
    assert segment_offsets(times=times)[0].tolist() == [0, 10, 20]


def test_interval_is_rounded_as_far_as_the_times_allow():
    single = np.float32(0.1) * np.arange(300, dtype=np.float32)
    assert interval_from_times(single, [0, 300]) == 0.1
    assert interval_from_times(0.002 * np.arange(300), [0, 300]) == 0.002
    third = np.arange(300) / 3.0
    assert interval_from_times(third, [0, 300]) == pytest.approx(1.0 / 3.0, rel=1e-14)
    assert interval_from_times([0.0, 5.0, 11.0], [0, 1, 3]) == 6.0
    assert interval_from_times([0.0, 5.0], [0, 1, 2]) is None


def test_steps_and_times_each_make_borders():
    steps = [0, 10, 20, 40, 50, 60, 70, 80]
    times = [0.0, 1.0, 2.0, 3.0, 4.0, 5.5, 6.5, 7.5]
    offsets, findings = segment_offsets(steps, times)
    assert offsets.tolist() == [0, 3, 5, 8]
    assert [finding.quantity for finding in findings] == ["step", "time"]


def test_given_interval_chooses_the_rhythm():
    times = [0.0, 1.0, 2.0, 4.0, 6.0, 8.0]
    assert segment_offsets(times=times)[0].tolist() == [0, 1, 2, 6]
    chosen, findings = segment_offsets(times=times, frame_interval=1.0)
    assert chosen.tolist() == [0, 3, 4, 5, 6]
    assert kinds(findings) == [("gap", 3), ("gap", 4), ("gap", 5)]
    steps = [0, 10, 20, 40, 60, 80]
    assert segment_offsets(steps, times, frame_interval=1.0)[0].tolist() == [0, 3, 4, 5, 6]


def test_given_interval_that_the_times_contradict_is_a_finding():
    offsets, findings = segment_offsets(times=np.arange(5.0), frame_interval=0.02)
    assert offsets.tolist() == [0, 5]
    assert kinds(findings) == [("interval", 0)]
    assert str(findings[0]) == "the times advance by 1 ps a frame, frame_interval is 0.02 ps"


def test_findings_read_as_sentences():
    _, findings = segment_offsets([0, 10, 20, 20, 30, 10, 20, 90, 95])
    assert [str(finding) for finding in findings] == [
        "frame 3: the step repeats, from 20 to 20 (regular: +10)",
        "frame 5: the step goes back from 30 to 10 (regular: +10)",
        "frame 7: the step jumps from 20 to 90 (regular: +10)",
        "frame 8: the step advances by less than usual, from 90 to 95 (regular: +10)",
    ]
    _, findings = segment_offsets(times=[0.0, 0.5, 1.0, 2.0])
    assert str(findings[0]) == "frame 3: the time jumps from 1 to 2 ps (regular: +0.5 ps)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": [0, 1], "times": [0.0]}, r"times must have shape \(n_frames,\) = \(2,\)"),
        ({"steps": [[0, 1]]}, r"steps must have shape \(n_frames,\) = \(1,\), received \(1, 2\)"),
        ({"steps": [0, 1], "n_frames": 3}, r"steps must have shape \(n_frames,\) = \(3,\)"),
        ({}, "n_frames must be at least 1, received None"),
        ({"steps": []}, "n_frames must be at least 1, received 0"),
        ({"times": [0.0, np.nan]}, "times must be finite, received nan for frame 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        segment_offsets(**arguments)
