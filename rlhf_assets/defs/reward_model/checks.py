"""The gates of a reward model as checks that block, and the drift of the one before as a check that warns."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from rlhf_assets.report import interval

# What holds where nothing is found, by the gates of `reward_gates`.
GATES = {
    "tested": "It was tested on enough questions, and every prediction is a number.",
    "better_than_mean": "Its error on the test votes is surely below that of always saying the mean.",
    "better_than_length": "Its error on the test votes is surely below that of a rule that sees length alone.",
    "no_segment_below_chance": "It orders the votes of no large segment and of neither kind surely worse than chance.",
    "calibrated": "Of the answers that it gives the same, people give as much on average.",
    "not_for_length": "Its score hangs on the answer's length about as much as people's ratings do.",
}
DRIFT = "drift"
DRIFT_HOLDS = "The model of an earlier week is as good on this week's new questions as it was on its own test."


def checks_of(asset: str) -> list[dg.AssetCheckSpec]:
    gates = [dg.AssetCheckSpec(n, asset=asset, blocking=True, description=holds) for n, holds in GATES.items()]
    return [*gates, dg.AssetCheckSpec(DRIFT, asset=asset, description=DRIFT_HOLDS)]


def gate_results(
    asset: str,
    gates: Mapping[str, list[str]],
    measured: Mapping[str, tuple[str, Mapping[str, Any], str]],
    blocks: bool,
) -> list[dg.AssetCheckResult]:
    """A result a gate, with what it looked at. One that does not block, as for an experiment, which feeds no policy
    anyway, warns."""
    severity = dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN
    return [result(asset, name, reasons, severity, shown(*measured[name])) for name, reasons in gates.items()]


def shown(what: str, figure: Mapping[str, Any], bound: str) -> dict[str, Any]:
    """The figure as a number, which the UI draws over the weeks, its bound, and once more with its interval."""
    told: dict[str, Any] = {"bound": bound}
    if figure["value"] is not None:
        told[what] = float(f"{figure['value']:.4g}")
    if figure["low"] is not None:
        told["with 95 % interval"] = interval(figure, "{:.3f}".format)
    return told


def drift_result(asset: str, warnings: list[str], shown: Mapping[str, Any]) -> dg.AssetCheckResult:
    return result(asset, DRIFT, warnings, dg.AssetCheckSeverity.WARN, shown)


def untrained_results(asset: str, reason: str) -> Iterable[dg.AssetCheckResult]:
    """A model that was not trained passes no gate and blocks nothing: what needs it is skipped."""
    for name in GATES:
        yield result(asset, name, [f"no model was trained: {reason}"], dg.AssetCheckSeverity.WARN, {})
    yield drift_result(asset, [], {"skipped": reason})


def result(
    asset: str, name: str, reasons: list[str], severity: dg.AssetCheckSeverity, shown: Mapping[str, Any]
) -> dg.AssetCheckResult:
    """Reasons as plain text: names of segments stand in them, which nothing may render."""
    told = {"reasons": dg.MetadataValue.text("; ".join(reasons))} if reasons else {}
    return dg.AssetCheckResult(
        asset_key=asset, check_name=name, passed=not reasons, severity=severity, metadata={**shown, **told}
    )
