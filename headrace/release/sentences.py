"""A decision's evidence -> the one plain sentence that people read, in English or Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.release.reasons import number, reasons

ENGLISH = {
    "risen": "Released: {sides}; {range}, so a loss above the {margin} points that the recipe allows is"
    " excluded.",
    "grown": "Released: {sides}; {range}, so a loss above the {margin} points that the recipe allows is"
    " excluded, and the training data grew.",
    "nothing-new": "Refused: {sides}; accuracy did not rise and the training data did not grow.",
    "worse": "Refused: {sides}; the loss is between {least} and {most} points, and the recipe allows"
    " {margin}.",
    "may-lose": "Refused: {sides}; {range}, and the recipe allows a loss of {margin} points.",
    "too-few": "Not released: {n} held-out rows are too few to tell: {sides_of_them}; {range}; {needed}.",
    "no-rows": "Not released: there are no held-out rows to compare on; {needed}.",
    "followed": "Released: on the {all_n} held-out rows of all channels together the challenger answers"
    " {all_challenger} % right, the serving one {all_champion} %; {all_range}, within the {margin} points"
    " that the recipe allows; this channel's own {n} rows are too few to tell.",
    "few-against": "Not released: {n} held-out rows are too few to tell, but what there is speaks against"
    " it: {sides_of_them}; {needed}.",
    "first": "Released as the first: it answers {challenger} % of {n} held-out rows right, always saying"
    " {label} {champion} %; {range}.",
    "first-unsure": "Released as the first: it answers {challenger} % of {n} held-out rows right, always"
    " saying {label} {champion} %; the rows are too few to be sure: {range}.",
    "first-unjudged": "Released as the first, unjudged: there are no held-out rows.",
    "first-one-label": "Released as the first, unjudged: all {n} held-out rows carry the label {label}; it"
    " answers {challenger} % of them right.",
    "first-not-better": "Refused: it answers {challenger} % of {n} held-out rows right, no more than always"
    " saying {label}, which gives {champion} %.",
    "checks": "Refused: {sides}, but {reasons}.",
    "first-checks": "Refused: {reasons}.",
    "also": "{sentence} Also: {reasons}.",
    "own": "The channel gets its own adapter: on {n} held-out rows it is right on {challenger} %, the shared"
    " one on {champion} %; {range}.",
    "own-not-better": "The channel stays on the shared adapter: on {n} held-out rows its own is right on"
    " {challenger} %, the shared one on {champion} %; {range}, so a gain is not certain.",
    "own-worse": "The channel stays on the shared adapter: on {n} held-out rows its own is right on"
    " {challenger} %, the shared one on {champion} %; {range}.",
    "own-no-rows": "The channel stays on the shared adapter: it has no held-out rows that could say that its"
    " own is better.",
    "sides": "the challenger answers {challenger} % of {n} held-out rows right, the serving one {champion} %",
    "sides_of_them": "the challenger answers {challenger} % right, the serving one {champion} %",
    "better": "it is between {low} and {high} points better",
    "poorer": "it is between {high} and {low} points worse",
    "either": "it is between {low} points worse and {high} better",
    "needed": "about {rows} are needed to exclude a loss above {margin} points",
    "never": "with a margin of 0 only a certain gain is released, so give the recipe a margin above 0",
}
CHINESE = {
    "risen": "已发布：{sides}；{range}，排除了超过配方所允许的 {margin} 个百分点的损失。",
    "grown": "已发布：{sides}；{range}，排除了超过配方所允许的 {margin} 个百分点的损失，且训练数据有所增加。",
    "nothing-new": "已拒绝：{sides}；准确率没有上升，训练数据也没有增加。",
    "worse": "已拒绝：{sides}；损失在 {least} 到 {most} 个百分点之间，而配方只允许 {margin}。",
    "may-lose": "已拒绝：{sides}；{range}，而配方只允许损失 {margin} 个百分点。",
    "too-few": "未发布：{n} 条留出数据太少，无法判断：{sides_of_them}；{range}；{needed}。",
    "no-rows": "未发布：没有可供比较的留出数据；{needed}。",
    "followed": "已发布：在所有渠道合计 {all_n} 条留出数据上，挑战者答对 {all_challenger} %，在用者答对"
    " {all_champion} %；{all_range}，未超过配方所允许的 {margin} 个百分点；本渠道自己的 {n} 条太少，"
    "无法判断。",
    "few-against": "未发布：{n} 条留出数据太少，无法判断，但现有的结果不利：{sides_of_them}；{needed}。",
    "first": "作为第一个版本发布：在 {n} 条留出数据上答对 {challenger} %，"
    "总是回答 {label} 则为 {champion} %；"
    "{range}。",
    "first-unsure": "作为第一个版本发布：在 {n} 条留出数据上答对 {challenger} %，总是回答 {label} 则为"
    " {champion} %；数据太少，尚不能确定：{range}。",
    "first-unjudged": "作为第一个版本发布，未经评判：没有留出数据。",
    "first-one-label": "作为第一个版本发布，未经评判：{n} 条留出数据的标签都是 {label}；"
    "答对其中 {challenger} %。",
    "first-not-better": "已拒绝：在 {n} 条留出数据上答对 {challenger} %，不比总是回答 {label} 的"
    " {champion} % 更好。",
    "checks": "已拒绝：{sides}，但{reasons}。",
    "first-checks": "已拒绝：{reasons}。",
    "also": "{sentence}此外：{reasons}。",
    "own": "该渠道使用自己的适配器：在 {n} 条留出数据上答对 {challenger} %，"
    "共享适配器答对 {champion} %；{range}。",
    "own-not-better": "该渠道继续使用共享适配器：在 {n} 条留出数据上，"
    "自己的适配器答对 {challenger} %，共享的答对"
    " {champion} %；{range}，不能确定有提升。",
    "own-worse": "该渠道继续使用共享适配器：在 {n} 条留出数据上，自己的适配器答对 {challenger} %，"
    "共享的答对 {champion} %；{range}。",
    "own-no-rows": "该渠道继续使用共享适配器：没有留出数据能说明自己的适配器更好。",
    "sides": "挑战者在 {n} 条留出数据上答对 {challenger} %，在用者答对 {champion} %",
    "sides_of_them": "挑战者答对 {challenger} %，在用者答对 {champion} %",
    "better": "高 {low} 到 {high} 个百分点",
    "poorer": "低 {high} 到 {low} 个百分点",
    "either": "在低 {low} 到高 {high} 个百分点之间",
    "needed": "约需 {rows} 条才能排除超过 {margin} 个百分点的损失",
    "never": "允许损失为 0 时只有确定的提升才会发布，请在配方中给出大于 0 的余量",
}
LANGUAGES = {"en": ENGLISH, "zh": CHINESE}


def explain(evidence: Mapping[str, Any], language: str = "en") -> str:
    """The sentence of a decision's `evidence`; a language that is not there is answered in English.

    Where the rule refuses and checks failed too, their reasons follow its own.
    """
    words = LANGUAGES.get(language, ENGLISH)
    values = _values(evidence, words)
    if "together" in evidence:
        together = _values(evidence["together"], words)
        values |= {f"all_{name}": value for name, value in together.items()}
    verdict, values["reasons"] = evidence["verdict"], reasons(evidence.get("checks", ()), language)
    said = words[verdict].format_map(values)
    if not values["reasons"] or verdict in ("checks", "first-checks"):
        return said
    return words["also"].format(sentence=said, reasons=values["reasons"])


def _values(evidence: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, object]:
    difference = evidence["comparison"]["difference"]
    values: dict[str, object] = {
        "n": evidence["n"],
        "label": _quoted(str(evidence.get("label", ""))),
        "margin": number(evidence.get("margin_points", 0.0)),
        "champion": _percent(evidence["champion"]),
        "challenger": _percent(evidence["challenger"]),
        "least": f"{-100 * difference['high']:.1f}",
        "most": f"{-100 * difference['low']:.1f}",
        "range": _range(difference["low"], difference["high"], words),
    }
    values["sides"] = words["sides"].format_map(values)
    values["sides_of_them"] = words["sides_of_them"].format_map(values)
    rows = evidence.get("rows_needed")
    values["needed"] = words["never" if rows is None else "needed"].format_map({**values, "rows": rows})
    return values


def _percent(side: Mapping[str, Any]) -> str:
    return f"{100 * side['accuracy']['value']:.1f}"


def _range(low: float, high: float, words: Mapping[str, str]) -> str:
    key = "better" if low >= 0 else "poorer" if high <= 0 else "either"
    return words[key].format(low=f"{100 * abs(low):.1f}", high=f"{100 * abs(high):.1f}")


def _quoted(label: str) -> str:
    return f"“{label}”"
