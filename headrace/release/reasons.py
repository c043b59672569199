"""Checks that failed -> why, as parts of one sentence, in English or Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NAMED = 3  # classes and slices with their figures in a sentence; the evidence holds all

ENGLISH = {
    "fall": "of {n} rows {where} it answers {challenger} % right, the serving one {champion} %",
    "more": "{count} more classes or slices fell",
    "floors": "{falls}; a class or a slice may lose {margin} points",
    "expected": "{lost} of the {n} questions of expectations.csv are no longer answered as expected"
    " ({questions}), and the recipe allows {limit}",
    "golden": "{lost} of the {n} golden rows are newly wrong and {won} newly right, a loss of {points} points,"
    " and the recipe allows {margin}",
    "size": "it takes {kilobytes} KB, and the recipe allows {limit}",
    "work": "a row goes through {times} times the weights of the serving one, and the recipe allows"
    " {limit} times",
    "calibration": "its confidence is off by {growth} points more than the serving one's, beyond the noise of"
    " these rows, and the recipe allows {limit}",
    "class": "of the class {value}",
    "few": "of classes with few rows",
    "language:han": "in Chinese characters",
    "language:other": "without Chinese characters",
    "length:short": "with a short text",
    "length:long": "with a long text",
    "source": "from the source {value}",
    "origin:source": "labelled by their source",
    "origin:owner": "labelled by the owner",
    "slice": "of the slice {kind} {value}",
    "quoted": "“{value}”",
    "between": "; ",
}
CHINESE = {
    "fall": "在{where} {n} 条数据上它答对 {challenger} %，在用者答对 {champion} %",
    "more": "另有 {count} 个类别或分组下降",
    "floors": "{falls}；而一个类别或分组只允许损失 {margin} 个百分点",
    "expected": "expectations.csv 的 {n} 个问题中有 {lost} 个不再得到预期的回答（{questions}），"
    "而配方允许 {limit} 个",
    "golden": "{n} 条黄金数据中有 {lost} 条新答错、{won} 条新答对，损失 {points} 个百分点，而配方只允许 {margin}",
    "size": "它占 {kilobytes} KB，而配方只允许 {limit}",
    "work": "一条数据所经过的权重是在用者的 {times} 倍，而配方只允许 {limit} 倍",
    "calibration": "它的把握与实际正确率之间的偏差比在用者多 {growth} 个百分点，超出了这些数据的噪声，"
    "而配方只允许 {limit}",
    "class": "类别{value}的",
    "few": "数据很少的各类别的",
    "language:han": "含汉字的",
    "language:other": "不含汉字的",
    "length:short": "短文本的",
    "length:long": "长文本的",
    "source": "来源{value}的",
    "origin:source": "由来源标注的",
    "origin:owner": "由所有者标注的",
    "slice": "分组 {kind} {value} 的",
    "quoted": "“{value}”",
    "between": "；",
}
WORDS = {"en": ENGLISH, "zh": CHINESE}


def reasons(checks: Iterable[Mapping[str, Any]], language: str = "en") -> str:
    """Why the failed ones of `checks` (as their `to_json` wrote them) refuse; empty where none did."""
    words = WORDS.get(language, ENGLISH)
    failed = [check for check in checks if not check["passed"] and check["check"] in _SAID]
    return words["between"].join(_SAID[check["check"]](check, words) for check in failed)


def _floors(check: Mapping[str, Any], words: Mapping[str, str]) -> str:
    said = [
        words["fall"].format(
            n=fall["n"],
            where=_where(fall["kind"], fall["value"], words),
            challenger=f"{100 * fall['challenger'] / fall['n']:.1f}",
            champion=f"{100 * fall['champion'] / fall['n']:.1f}",
        )
        for fall in check["fell"][:NAMED]
    ]
    more = len(check["fell"]) - NAMED
    said += [words["more"].format(count=more)] if more > 0 else []
    return words["floors"].format(falls=words["between"].join(said), margin=number(check["margin_points"]))


def _where(kind: str, value: str, words: Mapping[str, str]) -> str:
    said = words.get(f"{kind}:{value}") or words.get(kind) or words["slice"]
    return said.format(kind=kind, value=words["quoted"].format(value=value))


def _golden(check: Mapping[str, Any], words: Mapping[str, str]) -> str:
    points, margin = f"{check['points']:.1f}", number(check["margin_points"])
    found = {**check, "points": points, "margin": margin}
    return words["golden"].format_map(found)


def _expected(check: Mapping[str, Any], words: Mapping[str, str]) -> str:
    quoted = ", ".join(words["quoted"].format(value=text) for text in check["questions"])
    return words["expected"].format_map({**check, "questions": quoted})


def _size(check: Mapping[str, Any], words: Mapping[str, str]) -> str:
    return words["size"].format(kilobytes=f"{check['kilobytes']:,.1f}", limit=f"{check['limit']:,}")


def _work(check: Mapping[str, Any], words: Mapping[str, str]) -> str:
    return words["work"].format(times=f"{check['times']:.2f}", limit=f"{check['limit']:g}")


def _calibration(check: Mapping[str, Any], words: Mapping[str, str]) -> str:
    growth, limit = f"{check['points']:.1f}", number(check["limit"])
    return words["calibration"].format(growth=growth, limit=limit)


def number(points: float) -> str:
    """With one decimal, or with more where the recipe gave more."""
    return f"{points:.1f}" if round(points, 1) == points else f"{points:g}"


_SAID = {
    "floors": _floors,
    "golden": _golden,
    "expected": _expected,
    "size": _size,
    "work": _work,
    "calibration": _calibration,
}
