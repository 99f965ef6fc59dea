"""The soak's table: what was disturbed, how long the run took to go on, and what was lost."""

from xml.etree import ElementTree

_CASES = """
<testsuite>
<testcase classname="tests.launch.test_a" name="test_kills" time="90.0"><properties>
<property name="disturbance" value='["learner-0", 12.5, 300]' />
<property name="disturbance" value='["actor-0", 4.0, 0]' />
<property name="disturbance" value='["actor-1", 30.0, 0]' />
<property name="disturbance" value='["learner-0", 9.0, 100]' />
</properties></testcase>
<testcase classname="tests.core.test_b" name="test_writes" time="30.0"><properties>
<property name="kills_inside_a_write" value="7" /><property name="spent" value="('x',)" />
</properties><failure message="assert 1 == 2&#10;more" /></testcase>
<testcase classname="tests.cluster.test_c" name="test_hosts" time="0.0"><skipped message="no | root" /></testcase>
</testsuite>
"""


def test_a_row_says_what_was_done_and_what_it_cost(script):
    soak = script("soak")
    report = soak._report(list(ElementTree.fromstring(_CASES).iter("testcase")), 2, "Commit abc.")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report.markdown().splitlines()[4:7]]
    assert rows == [
        ["tests/launch/test_a.py::test_kills", "2", "1.5", "learner x2, actor x2", "10.8, 30", "200, 300", "passed"],
        ["tests/core/test_b.py::test_writes", "2", "0.5", "kills inside a write 7", "-", "-", "failed: assert 1 == 2"],
        ["tests/cluster/test_c.py::test_hosts", "2", "0", "-", "-", "-", "skipped: no / root"],
    ]
    assert "Failures: 1 of 3. Commit abc." in report.markdown()
