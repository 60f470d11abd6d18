"""How many instances an app is to have: what may be said, and what follows from loads."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.errors import InvalidRequest, LimitReached
from hypha.features.apps.scaling import Scaling, Window, check_room


def scaling(**said: Any) -> Scaling:
    found = Scaling.of({"autoscaling": {"enabled": True, **said}})
    assert found is not None
    return found


def test_what_is_left_out_is_as_usual() -> None:
    assert scaling() == Scaling(1, 10, 100.0, 0.9, 0.3, 300.0, 600.0, None)
    custom = scaling(metric_type="custom", custom_metric_function="get_load")
    assert (custom.target, custom.metric) == (0.8, "get_load")
    for manifest in ({}, {"autoscaling": {}}, {"autoscaling": {"enabled": False, "max_instances": 3}}):
        assert Scaling.of(manifest) is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("yes", "object"),
        ({"enabled": "yes"}, "true or false"),
        ({"enabled": True, "instances": 3}, "has no instances"),
        ({"max_instances": 0}, "max_instances"),
        ({"max_instances": 1.5}, "max_instances"),
        ({"max_instances": True}, "max_instances"),
        ({"min_instances": 3, "max_instances": 2}, "must not be larger"),
        ({"target_requests_per_instance": 0}, "above 0"),
        ({"target_load_per_instance": "1"}, "target_load_per_instance"),
        ({"scale_up_cooldown": -1}, "from 0"),
        ({"scale_up_cooldown": float("inf")}, "scale_up_cooldown"),
        ({"scale_up_threshold": 0.3, "scale_down_threshold": 0.3}, "must be below"),
        ({"metric_type": "cpu"}, "metric_type"),
        ({"metric_type": "custom"}, "custom_metric_function"),
        ({"metric_type": "custom", "custom_metric_function": 7}, "custom_metric_function"),
    ],
)
def test_what_cannot_be_is_refused_also_where_it_is_off(said: Any, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        Scaling.of({"autoscaling": said})


def test_a_singleton_is_not_scaled() -> None:
    with pytest.raises(InvalidRequest, match="singleton"):
        Scaling.of({"singleton": True, "autoscaling": {"enabled": True}})


def test_one_is_added_above_the_threshold_and_taken_away_below_the_other() -> None:
    rule = scaling(target_requests_per_instance=10, min_instances=1, max_instances=3)
    now = 10_000.0
    assert rule.step([9.5], now, 0, 0) == 1
    assert rule.step([9.0], now, 0, 0) == 0
    assert rule.step([2.0, 3.0], now, 0, 0) == -1
    assert rule.step([0.0, 6.0], now, 0, 0) == 0
    assert rule.step([50.0] * 3, now, 0, 0) == 0, "never above the most"
    assert rule.step([0.0], now, 0, 0) == 0, "never below the least"
    assert rule.step([], now, 0, 0) == 0


def test_pauses_are_kept_between_two_steps() -> None:
    rule = scaling(target_requests_per_instance=10, scale_up_cooldown=60, scale_down_cooldown=120)
    assert rule.step([50.0], 1059.0, 1000.0, 0) == 0
    assert rule.step([50.0], 1060.0, 1000.0, 0) == 1
    assert rule.step([0.0, 0.0], 1119.0, 0, 1000.0) == 0
    assert rule.step([0.0, 0.0], 1119.0, 1000.0, 0) == 0, "what was just added is left there for a while"
    assert rule.step([0.0, 0.0], 1120.0, 1000.0, 1000.0) == -1


def test_calls_of_the_last_minute_count_and_no_older_ones() -> None:
    window, count = Window(), 0
    assert window.calls(7, 0.0) == 0, "what came before anybody looked is not known"
    for second in range(1, 200):
        count += 2
        seen = window.calls(7 + count, float(second))
        assert seen == 2 * min(second, 60)
    for second in range(200, 262):
        seen = window.calls(7 + count, float(second))
    assert seen == 0
    assert window.calls(7 + count + 500, 1000.0) == 0, "of a time when nobody looked nothing is known"


def test_no_instance_is_started_beyond_the_most() -> None:
    check_room(None, "app", 50)
    check_room(scaling(max_instances=3), "app", 2)
    with pytest.raises(LimitReached, match="max_instances 3"):
        check_room(scaling(max_instances=3), "app", 3)
