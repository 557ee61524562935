"""What else the machine did: real loads beside a timing, counters by hand, and what nvidia-smi prints."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from replication.speed import clock, watch
from replication.speed.clock import Timing, time_blocks
from replication.speed.watch import (
    Card,
    Load,
    explain_cards,
    explain_load,
    parse_card,
    parse_processor_times,
    read_load,
)

CPU = torch.device("cpu")
counted = pytest.mark.skipif(not watch.STAT.exists(), reason="this system does not count the load")


@pytest.fixture
def busy_processes() -> Iterator[list[int]]:
    """A process on every core that does nothing but work; their numbers."""
    command = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in watch.list_processors()]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()


def seconds_of(process: int) -> float:
    """Processor time of another process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.alone
@counted
def test_under_a_background_load_no_cell_is_valid(busy_processes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "RAMP", 0.0)
    monkeypatch.setattr(clock, "LONGEST_WARM_UP", 0.2)
    # Blocks so long that a step which seems ten times as long, for its warm-up was disturbed, still has samples for
    # several times SHORTEST_WATCH.
    timings = time_blocks([lambda: sum(range(200_000)), lambda: sum(range(100_000))], CPU, 5, 0.5, 0)
    for timing in timings:
        assert isinstance(timing, Timing)
        assert any(reason.startswith("other processes used") for reason in timing.invalid), timing.invalid


@pytest.mark.alone
@counted
def test_all_that_other_processes_used_is_counted(busy_processes: list[int]) -> None:
    before, theirs = read_load(), sum(map(seconds_of, busy_processes))
    time.sleep(0.5)
    theirs = sum(map(seconds_of, busy_processes)) - theirs
    after = read_load()
    assert before is not None
    assert after is not None
    used = after.subtract(before)
    ticks = 0.01 * 2 * (len(busy_processes) + 1)  # each count is rounded down to one
    assert used.busy - used.own >= theirs - ticks
    assert used.own < 0.25  # a sleep


@pytest.mark.alone
@counted
def test_the_threads_of_this_process_are_its_own() -> None:
    """Own time holds what every thread used; own and foreign together are no more than the processors have."""
    threads_used: list[float] = []

    def work() -> None:
        end = time.perf_counter() + 0.4
        while time.perf_counter() < end:
            pass
        threads_used.append(time.thread_time())

    threads = [threading.Thread(target=work) for _ in range(3)]
    before = read_load()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = read_load()
    assert before is not None
    assert after is not None
    used = after.subtract(before)
    assert len(threads_used) == 3
    assert used.own >= sum(threads_used)
    assert used.busy <= len(watch.list_processors()) * (used.wall + 0.02)


def test_what_this_process_does_with_all_its_threads_is_no_disturbance() -> None:
    assert explain_load([Load(wall=0.15, own=0.3, busy=0.3, withheld=0.0)] * 10) == []


def test_nothing_is_said_of_a_load_that_was_not_watched() -> None:
    assert explain_load([]) == []


def test_what_was_timed_too_shortly_to_see_a_load_is_not_valid() -> None:
    busy_core = Load(wall=0.002, own=0.002, busy=0.004, withheld=0)
    assert explain_load([busy_core] * 20) == ["timed for 0.04 s only, too short to see what else the machine did"]
    assert explain_load([busy_core] * 30) == ["other processes used 1.00 cores"]


def test_a_tenth_of_a_core_in_all_blocks_together_is_too_much() -> None:
    """A reading is off by up to two ticks: 0.02 s of the 2 s on top of the limit."""
    quiet, loud = Load(0.2, 0.2, 0.221, 0), Load(0.2, 0.2, 0.223, 0)
    assert explain_load([quiet] * 10) == []
    assert explain_load([loud] * 10) == ["other processes used 0.12 cores"]
    assert explain_load([loud, *[Load(0.2, 0.2, 0.2, 0)] * 9]) == []


def test_the_hypervisor_may_withhold_a_fiftieth_of_what_was_wanted() -> None:
    assert explain_load([Load(wall=2, own=1.92, busy=1.92, withheld=0.08)]) == [
        "the hypervisor withheld 4.0 % of the time"
    ]
    assert explain_load([Load(wall=2, own=1.98, busy=1.98, withheld=0.02)]) == []


def test_processor_times_of_the_processors_that_may_be_used() -> None:
    """User, nice, system, irq and softirq are busy, idle and iowait are not; a guest's time is in user already."""
    stat = (
        "cpu  1000 0 0 0 0 0 0 0 0 0\n"
        "cpu0 100 20 30 5000 400 5 6 70 50 1\n"
        "cpu1 900 0 0 0 0 0 0 0 0 0\n"
        "cpu10 200 0 0 0 0 0 0 30 0 0\n"
        "intr 1 2 3\n"
    )
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert parse_processor_times(stat, {0}) == pytest.approx((161 * tick, 70 * tick))
    assert parse_processor_times(stat, {0, 10}) == pytest.approx((361 * tick, 100 * tick))


def test_a_system_without_counters_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "STAT", tmp_path / "stat")
    assert read_load() is None
    assert watch.find_blind_spots(CPU) == [f"load of other processes and withheld time: no {tmp_path / 'stat'}"]


def xml(processes: str = "", slowed: str = "", counted: str = "", word: str = "event") -> str:
    """What `nvidia-smi -q -x` prints, cut to what matters here, in its order."""
    flags = ("gpu_idle", "sw_power_cap", "hw_slowdown", "hw_thermal_slowdown", "sw_thermal_slowdown")
    reasons = "".join(
        f"<clocks_{word}_reason_{flag}>{'Active' if flag in slowed.split() else 'Not Active'}"
        f"</clocks_{word}_reason_{flag}>"
        for flag in flags
    )
    return f"""<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
	<timestamp>Mon Oct 13 00:25:36 2025</timestamp>
	<driver_version>575.51.02</driver_version>
	<cuda_version>12.9</cuda_version>
	<attached_gpus>1</attached_gpus>
	<gpu id="00000000:01:00.0">
		<product_name>NVIDIA GeForce RTX 4070 Laptop GPU</product_name>
		<clocks_{word}_reasons>{reasons}</clocks_{word}_reasons>
		{counted}
		<processes>{processes}</processes>
	</gpu>
</nvidia_smi_log>"""


def process(number: int, kind: str, name: str) -> str:
    return (
        f"<process_info><gpu_instance_id>N/A</gpu_instance_id><pid>{number}</pid><type>{kind}</type>"
        f"<process_name>{name}</process_name><used_memory>1448 MiB</used_memory></process_info>"
    )


def braked(thermal: int) -> str:
    return (
        "<clocks_event_reasons_counters>"
        "<clocks_event_reasons_counters_sw_power_cap>91403239 us</clocks_event_reasons_counters_sw_power_cap>"
        f"<clocks_event_reasons_counters_hw_therm_slowdown>{thermal} us"
        "</clocks_event_reasons_counters_hw_therm_slowdown>"
        "<clocks_event_reasons_counters_hw_power_brake>N/A</clocks_event_reasons_counters_hw_power_brake>"
        "</clocks_event_reasons_counters>"
    )


OWN, OTHER, DESKTOP = (
    process(7, "C", "/usr/bin/python"),
    process(8, "C+G", "/opt/jobs/train --data y"),
    process(9, "G", "Xwayland"),
)


def test_a_card_as_nvidia_smi_prints_it() -> None:
    card = parse_card(xml(OWN + DESKTOP, "gpu_idle sw_thermal_slowdown", braked(5)))
    assert card == Card("575.51.02", {7: "python"}, frozenset({"sw thermal slowdown"}), {"hw therm slowdown": 5})


def test_older_drivers_have_another_word_for_the_same() -> None:
    assert parse_card(xml(slowed="hw_slowdown", word="throttle")).slowed == {"hw slowdown"}


def test_no_card_in_the_answer() -> None:
    assert parse_card("<nvidia_smi_log></nvidia_smi_log>") == Card("")


def test_alone_on_a_card_that_idles_between_blocks_at_its_power_cap() -> None:
    cards = [parse_card(xml(OWN + DESKTOP, "gpu_idle sw_power_cap", braked(5)))] * 3
    assert explain_cards(cards, process=7) == []
    assert explain_cards([], process=7) == []


def test_another_process_on_the_card_is_named_once_without_its_folder() -> None:
    cards = [parse_card(xml(OWN)), parse_card(xml(OWN + OTHER)), parse_card(xml(OWN + OTHER))]
    assert explain_cards(cards, process=7) == ["process train uses the GPU"]


def test_in_a_container_one_of_the_numbers_is_this_process() -> None:
    assert explain_cards([parse_card(xml(OWN))], process=1) == []
    assert explain_cards([parse_card(xml(OWN + OTHER))], process=1) == ["1 other processes use the GPU"]


def test_slow_clocks_at_any_moment_and_those_that_the_hardware_counted() -> None:
    hot, counted = parse_card(xml(OWN, "hw_thermal_slowdown", braked(5))), parse_card(xml(OWN, "", braked(6)))
    cool = parse_card(xml(OWN, "", braked(5)))
    assert explain_cards([cool, hot, cool], process=7) == ["clocks throttled: hw thermal slowdown"]
    assert explain_cards([cool, counted], process=7) == ["clocks throttled: hw therm slowdown"]
