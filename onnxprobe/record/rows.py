"""A tensor as a row of a table."""

from __future__ import annotations

from typing import TypeAlias

from onnxprobe.record.tensor import Levels, TensorRecord

__all__ = ["Row", "tensor_row"]

Row: TypeAlias = dict[str, str | int | float | bool | None]


def tensor_row(tensor: TensorRecord) -> Row:
    """Flatten what is said of a tensor.

    Args:
        tensor: An analysed tensor.

    Returns:
        One value per column. Measures over samples with Jacobians are medians unless their name
        says otherwise.
    """
    dof, jacobian, values = tensor.dof, tensor.jacobian, tensor.activations
    rank = jacobian.rank if jacobian else None
    row: Row = {
        "name": tensor.name,
        "op_type": tensor.op_type,
        "shape": "x".join(map(str, tensor.shape)),
        "dtype": tensor.dtype,
        "is_output": tensor.is_output,
        "status": tensor.status,
        "shares_with": tensor.shares_with,
        "rms": values.rms if values else None,
        "dof": dof.value if dof else None,
        "dof_ceiling": dof.ceiling if dof else None,
        "dof_share": dof.share if dof else None,
        "dof_status": dof.status if dof else None,
        "dof_participation_ratio": dof.participation_ratio if dof else None,
        "dof_energy_95": dof.energy_95 if dof else None,
        "dof_energy_99": dof.energy_99 if dof else None,
        "dof_rank": dof.rank if dof else None,
        "dof_two_nn": dof.two_nn if dof else None,
        "jacobian_status": jacobian.status if jacobian else None,
        "jacobian_method": jacobian.method if jacobian else None,
        "numerical_nodes": "; ".join(jacobian.numerical_nodes) if jacobian else None,
        "straight_through": jacobian.straight_through if jacobian else None,
        "jacobian_inputs": jacobian.inputs if jacobian else None,
        "jacobian_complete": jacobian.complete if jacobian else None,
        "rank": rank.median if rank else None,
        "rank_min": rank.min if rank else None,
        "rank_max": rank.max if rank else None,
        "rank_at_least": rank.at_least if rank else None,
        "rank_share": jacobian.share if jacobian else None,
        "stable_rank": _median(jacobian.stable_rank if jacobian else None),
        "effective_rank": _median(jacobian.effective_rank if jacobian else None),
        "noise_floor": _median(jacobian.noise_floor if jacobian else None),
        "noise_model": jacobian.noise_model if jacobian else None,
    }
    for release in tensor.release:
        shares = release.recoverable
        row[f"s_at_{release.noise}"] = release.s
        row[f"recoverable_low_at_{release.noise}"] = shares.low if shares else None
        row[f"recoverable_high_at_{release.noise}"] = shares.high if shares else None
        middle = release.recoverable_median
        row[f"recoverable_median_low_at_{release.noise}"] = middle.low if middle else None
        row[f"recoverable_median_high_at_{release.noise}"] = middle.high if middle else None
        row[f"attained_at_{release.noise}"] = release.attained
        row[f"tokens_reidentified_at_{release.noise}"] = release.tokens_reidentified
        row[f"bits_at_{release.noise}"] = _median(release.bits)
        row[f"van_trees_mse_at_{release.noise}"] = release.van_trees_mse
        row[f"dfil_at_{release.noise}"] = _median(release.dfil)
    for target, enough in tensor.noise_for.items():
        row[f"noise_for_{target}"] = enough
    row["intra_class_radius"] = tensor.classes.radius if tensor.classes else None
    row["intra_class_share"] = tensor.classes.share if tensor.classes else None
    for each in tensor.membership:
        title = each.statistic.lower().replace(" ", "_")
        row[f"auc_{title}"] = each.auc
        row[f"auc_{title}_low"], row[f"auc_{title}_high"] = each.low, each.high
        row[f"tpr_{title}"] = each.tpr_at_1_percent_fpr
    return row


def _median(measure: Levels | None) -> float | None:
    return measure.median if measure else None
