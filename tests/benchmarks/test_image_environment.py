"""The benchmarks run the processes with the variables of the image."""

import re
from pathlib import Path

from benchmarks.programs import IMAGE_ENVIRONMENT

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def test_the_image_sets_the_variables_of_the_benchmarks() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    (*_, last) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    variables = dict(word.split("=", 1) for word in last.split())

    assert IMAGE_ENVIRONMENT.items() <= variables.items()
