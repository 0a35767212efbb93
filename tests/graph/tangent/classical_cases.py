"""Classical estimators and experimental operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.graph.tangent.contrib_case import ML, Case, case, draw


def _classical() -> list[Case]:
    x = draw(3, 4)
    weights = draw(2, 4).ravel().tolist()
    support = draw(3, 4, seed=1).ravel().tolist()
    classes: dict[str, Any] = {"classlabels_ints": [0, 1, 2], "intercepts": [0.1, 0.2, 0.3]}
    three = draw(3, 4, seed=2).ravel().tolist()
    cases = [
        case("Scaler", {"x": x}, domain=ML, offset=[0.1] * 4, scale=[1.0, 2.0, 3.0, 4.0]),
        case("Scaler one", {"x": x}, domain=ML, offset=[0.1], scale=[2.0]),
        case(
            "LinearRegressor",
            {"x": x},
            domain=ML,
            coefficients=weights,
            intercepts=[0.1, 0.2],
            targets=2,
        ),
        *(
            case(
                f"LinearClassifier {name}",
                {"x": x},
                "l y",
                ML,
                coefficients=three,
                post_transform=name,
                **classes,
            )
            for name in ("NONE", "LOGISTIC", "SOFTMAX")
        ),
        case("Normalizer L1", {"x": x}, domain=ML, norm="L1"),
        case("Normalizer L2", {"x": x}, domain=ML, norm="L2"),
        case(
            "Imputer",
            {"x": np.where(x > 0.5, np.float32(7), x)},
            domain=ML,
            imputed_value_floats=[0.5],
            replaced_value_float=7.0,
            formula=lambda f: [np.where(f["x"] > 6, 0.5, f["x"])],
        ),
        case("ArrayFeatureExtractor", {"x": x, "i": np.array([2, 0], np.int64)}, domain=ML),
        case(
            "FeatureVectorizer",
            {"x": x, "z": draw(3, 2)},
            domain=ML,
            inputdimensions=[4, 2],
        ),
        case(
            "SVMRegressor",
            {"x": x},
            domain=ML,
            coefficients=weights[:4],
            kernel_params=[0.0, 0.0, 3.0],
            rho=[0.3],
        ),
    ]
    cases.extend(
        case(
            f"SVMRegressor {kind}",
            {"x": x},
            domain=ML,
            coefficients=[0.5, -0.4, 0.3],
            support_vectors=support,
            n_supports=3,
            kernel_type=kind,
            kernel_params=[0.4, 0.2, 2.0],
            rho=[0.3],
        )
        for kind in ("LINEAR", "RBF", "POLY", "SIGMOID")
    )
    image = {"x": draw(2, 3, 5, 6)}
    return [
        *cases,
        case("Affine", {"x": x}, domain="", opset=9, alpha=0.5, beta=2.0),
        case("Scale", {"x": x}, domain="", opset=9, scale=0.5),
        case("ScaledTanh", {"x": x}, domain="", opset=9, alpha=0.5, beta=0.7),
        case("ParametricSoftplus", {"x": x}, domain="", opset=9, alpha=0.5, beta=0.7),
        case("ImageScaler", image, domain="", opset=9, scale=0.5, bias=[0.1, 0.2, 0.3]),
        case("Crop", image, domain="", opset=9, border=[1, 0, 2, 1]),
        case("Crop to a size", image, domain="", opset=9, border=[1, 0, 2, 1], scale=[3, 2]),
    ]


CLASSICAL = _classical()
