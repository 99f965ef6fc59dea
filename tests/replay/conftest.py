"""What the tests of replay share."""

import pytest

from tests.replay import toys


@pytest.fixture
def replay():
    with toys.serve() as replay:
        yield replay
