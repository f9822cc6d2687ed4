"""The zoo: what people build, and how much of it compiles."""

import pytest


@pytest.mark.timeout(900)
def test_at_least_95_of_100_pipelines_compile_and_answer_as_the_model_does(zoo):
    visited = [zoo.visit(animal) for animal in zoo.animals()]
    natives = [f"{one['name']}: {one['why']}" for one in visited if not one["compiled"]]
    assert len(visited) >= 60
    assert len(natives) <= 0.05 * len(visited), natives
    assert any("SVC(rbf)" in native for native in natives), "what has no rule must not count as compiled"
