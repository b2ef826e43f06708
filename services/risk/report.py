"""The report of a fit as one HTML page with nothing beside it: figures, plots, deciles, every term with its bins."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from services.risk.binning import Binned, Group
from services.risk.cards import bin_names
from services.risk.charts import Plot, bar_of_share, curve, round_max
from services.risk.fit import Fitted
from services.risk.notes import Note
from services.risk.scorecard import SCORE_MAX, Term
from services.risk.validation import CALIBRATION_GROUPS, Validation

_STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")


def report_html(fitted: Fitted, *, title: str, version: str, warnings: Sequence[Note] = ()) -> str:
    """Return the page."""
    notes = [*fitted.table.notes, *warnings]
    body = [
        f"<h1>离网风险评分卡 Risk scorecard: {escape(title)}</h1>",
        f"<p>{escape(version)} · 离网 left: {escape(fitted.table.label_name)} = {escape(fitted.table.left_value)}</p>",
        _figures(fitted),
        *(f'<div class="warn"><b>{escape(n.chinese)}</b><br>{escape(n.english)}</div>' for n in notes),
        _plots(fitted.validation),
        _deciles(fitted.validation),
        _folds(fitted.validation),
        _summary(fitted),
        "<h2>各项分箱 Bins of every term</h2>",
        *(_term(term, fitted.table.rows) for term in fitted.card.terms),
        _left_out(fitted),
        _method(fitted.validation),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    page = f"<head>{head}<style>{_STYLE}</style></head><body>{''.join(body)}</body>"
    return f'<!doctype html><html lang="zh">{page}</html>\n'


def _figures(fitted: Fitted) -> str:
    v, table = fitted.validation, fitted.table
    told = [
        (f"{v.auc:.3f}", "AUC 加权评分卡 weighted scorecard"),
        (f"{v.auc_plain:.3f}", "AUC 简单相加（封顶）plain sum, capped"),
        (f"{v.ks:.3f}", "KS 区分度 KS"),
        (f"{v.brier:.4f}", f"Brier 分 Brier (全取平均 average: {v.brier_of_average:.4f})"),
        (f"{v.calibration_error:.1f}", "校准误差（百分点）calibration error, points"),
        (f"{table.rows:,}", f"客户 customers ({len(v.folds)} 折 folds)"),
        (f"{100 * table.base_rate:.1f} %", "离网率 churn rate"),
    ]
    return (
        '<div class="figures">'
        + "".join(f"<div><strong>{a}</strong><span>{b}</span></div>" for a, b in told)
        + "</div>"
    )


def _plots(v: Validation) -> str:
    made = [
        (_roc(v), "ROC：交叉验证，未见过的客户 ROC of unseen customers"),
        (_calibration(v), "校准：分数与实际离网率 Calibration: score against churn rate"),
        (_distribution(v), "分数分布 Distribution of scores"),
    ]
    figures = "".join(f"<figure>{svg}<figcaption>{text}</figcaption></figure>" for svg, text in made)
    return f'<h2>区分与校准 Discrimination and calibration</h2><div class="plots">{figures}</div>'


def _roc(v: Validation) -> str:
    plot = Plot("误报率 false positive rate", "命中率 true positive rate")
    plot.line([(0, 0), (1, 1)], "even")
    plot.line(curve(*v.roc_plain()), "two", f"简单相加 plain sum {v.auc_plain:.3f}")
    plot.line(curve(*v.roc()), "one", f"加权 weighted {v.auc:.3f}")
    return plot.svg(f"ROC curve, AUC {v.auc:.3f}", legend_at=0.2)


def _calibration(v: Validation) -> str:
    groups = v.groups(CALIBRATION_GROUPS)[::-1]
    top = round_max(max(*(g.mean_score for g in groups), *(SCORE_MAX * g.rate for g in groups), 1.0))
    plot = Plot("平均分数 mean score", "实际离网率 % churn rate", x_max=top, y_max=top)
    plot.line([(0, 0), (top, top)], "even")
    points = [(g.mean_score, SCORE_MAX * g.rate) for g in groups]
    plot.line(points, "one")
    plot.dots(points, "one", [f"{g.mean_score:.1f} → {SCORE_MAX * g.rate:.1f} % ({g.rows})" for g in groups])
    return plot.svg("calibration curve: mean score against observed churn rate")


def _distribution(v: Validation) -> str:
    edges = np.linspace(0, SCORE_MAX, 26)
    shares = [100 * np.histogram(v.scores[mask], edges)[0] / mask.sum() for mask in (~v.label, v.label)]
    plot = Plot("分数 score", "占比 % share", x_max=SCORE_MAX, y_max=float(max(s.max() for s in shares)))
    for share, class_ in zip(shares, ("stayed", "left"), strict=True):
        for low, high, height in zip(edges, edges[1:], share, strict=False):
            plot.bar(float(low), float(high), float(height), class_, f"{low:.0f}–{high:.0f}: {height:.1f} % {class_}")
    plot.explain("stayed", "在网 stayed")
    plot.explain("left", "离网 left")
    return plot.svg("distribution of scores: stayed (blue), left (orange)")


def _deciles(v: Validation) -> str:
    rows, seen, total = [], 0, int(v.label.sum())
    base = float(v.label.mean())
    for number, g in enumerate(v.groups(10), 1):
        seen += g.churned
        rows.append([number, f"{g.low:.1f} – {g.high:.1f}", g.rows, g.churned, f"{g.mean_score:.1f}",
                     f"{SCORE_MAX * g.rate:.1f} {bar_of_share(g.rate, 'rate')}", f"{g.rate / base:.2f}",
                     f"{100 * seen / total:.1f}"])  # fmt: skip
    heads = ["十分位 decile", "分数 scores", "客户 customers", "离网 left", "平均分 mean score", "离网率 % rate",
             "提升 lift", "累计捕获 % captured"]  # fmt: skip
    return "<h2>十分位表 Table of deciles</h2>" + _table(heads, rows)


def _folds(v: Validation) -> str:
    rows = [
        [i, f.rows, f.churned, f"{f.auc_weighted:.4f}", f"{f.auc_plain:.4f}", f"{f.auc_plain_uncapped:.4f}"]
        for i, f in enumerate(v.folds, 1)
    ]
    deviation = np.std([f.auc_weighted for f in v.folds])
    rows.append(["平均 mean", v.label.size, int(v.label.sum()), f"<b>{v.auc:.4f}</b> ± {deviation:.4f}",
                 f"<b>{v.auc_plain:.4f}</b>", f"{v.auc_plain_uncapped:.4f}"])  # fmt: skip
    heads = ["折 fold", "客户 customers", "离网 left", "AUC 加权 weighted", "AUC 相加封顶 plain, capped",
             "AUC 相加不封顶 plain, uncapped"]  # fmt: skip
    return "<h2>各折 AUC, fold by fold</h2>" + _table(heads, rows)


def _summary(fitted: Fitted) -> str:
    trends = {1: "升 rises", -1: "降 falls", 0: "—"}
    rows = [
        [escape(term.binned.name), f"{term.binned.iv:.3f}", f"{term.weight:.3f}", len(term.binned.bins),
         trends[term.binned.trend] if term.binned.is_number else "类别 kinds", "✓" if term.in_plain_sum else ""]
        for term in fitted.card.terms
    ]  # fmt: skip
    heads = ["项 term", "信息值 IV", "权重 weight", "箱 bins", "走势 trend", "计入简单相加 in plain sum"]
    return "<h2>评分项 Terms</h2>" + _table(heads, rows)


def _term(term: Term, rows: int) -> str:
    binned = term.binned
    lines = [[_meaning(binned, i), *_group_cells(bin_.group, term.weight, rows)] for i, bin_ in enumerate(binned.bins)]
    lines.append(["<i>缺失 missing</i>", *_group_cells(binned.missing, term.weight, rows)])
    heads = ["箱 bin", "客户 customers", "离网 left", "平滑离网率 % smoothed rate", "WoE", "对数几率 log odds"]
    return f"<h3>{escape(binned.name)}</h3>" + _table(heads, lines)


def _meaning(binned: Binned, place: int) -> str:
    bin_ = binned.bins[place]
    if binned.is_number:
        return escape(bin_names(binned)[place].replace("_", " "))
    shown = ", ".join(bin_.levels[:12]) + (f", … ({len(bin_.levels)})" if len(bin_.levels) > 12 else "")
    return escape(shown) + (" <i>及其他 and others</i>" if bin_.others else "")


def _group_cells(group: Group, weight: float, rows: int) -> list[object]:
    share = f"{group.rows:,} {bar_of_share(group.rows / rows, 'rows')}"
    rate = f"{100 * group.rate:.1f} {bar_of_share(group.rate, 'rate')}"
    return [share, group.churned, rate, f"{group.woe:+.3f}", f"{weight * group.woe:+.3f}"]


def _left_out(fitted: Fitted) -> str:
    rows = [[escape(binned.name), f"{binned.iv:.3f}", _both(why)] for binned, why in fitted.card.rejected]
    rows += [[escape(each.name), "", _both(each.why)] for each in fitted.table.left_out]
    if not rows:
        return ""
    return "<h2>未采用的列 Columns that are no terms</h2>" + _table(["列 column", "信息值 IV", "原因 why"], rows)


def _both(note: Note) -> str:
    return f"{escape(note.chinese)}<br>{escape(note.english)}"


def _method(v: Validation) -> str:
    return (
        "<h2>方法 Method</h2>"
        "<p>每一折内重新分箱、选列、定权，因此各折数字来自模型未见过的客户；分数 = 离网概率 × 100，"
        f"已按折外结果校准（斜率 {v.slope:.3f}，截距 {v.intercept:.3f}）。"
        "数值列的离网率随数值单调，缺失值单独成箱，每箱不少于规定人数。</p>"
        "<p>Binning, choice of columns and weights were made anew inside each fold, so the figures are about customers "
        "whom the fold's card had not seen. Score = churn probability × 100, calibrated on these. Rates of numbers "
        "rise or fall all along, missing values are a bin of their own, no bin is too small. The plain sum adds the "
        "churn rates × 100 of its terms and stops at 100.</p>"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{each}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
