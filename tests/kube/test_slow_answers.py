"""Slow answers of the API server are logged, and rarely."""

import structlog

from kube.slow_answers import SlowAnswers


def test_a_slow_answer_is_logged_once_a_minute_and_a_quick_one_never() -> None:
    answers = SlowAnswers()
    with structlog.testing.capture_logs() as lines:
        for now, seconds in ((0.0, 0.9), (1.0, 1.04), (2.0, 30.0), (60.9, 2.0), (61.0, 3.0)):
            answers.answered("PUT", seconds, now)
    assert [(line["event"], line["seconds"]) for line in lines] == [
        ("API server answers slowly", 1.0),
        ("API server answers slowly", 3.0),
    ]
