"""A small model of every family of timm, and what one batch of training does to each: the table of docs/models.md.

usage: python -m tests.models.families [FAMILY...]   trains, in a process each, and writes the table
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The module of timm and a model in it: as a rule the one with the fewest parameters.
FAMILIES = {
    "beit": "beit_base_patch16_224", "byoanet": "halonet_h1", "byobnet": "test_byobnet", "cait": "cait_xxs24_224",
    "coat": "coat_tiny", "convit": "convit_tiny", "convmixer": "convmixer_768_32", "convnext": "test_convnext",
    "cpubone": "cpubone_nano", "crossvit": "crossvit_tiny_240", "csatv2": "csatv2", "cspnet": "cs3darknet_focus_s",
    "cspnext": "cspnext_tiny", "davit": "davit_tiny", "deepseek_vit": "deepseek_vit_412m", "deit":
    "deit_tiny_patch16_224", "densenet": "densenet121", "dla": "dla46x_c", "dpn": "dpn48b", "edgenext":
    "edgenext_xx_small", "efficientformer": "efficientformer_l1", "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "test_efficientnet", "efficientvim": "efficientvim_m1", "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0", "eva": "vit_tiny_patch16_dinov3_qkvb", "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8", "focalnet": "focalnet_tiny_srf", "gcvit": "gcvit_xxtiny", "gemma4_vit":
    "gemma4_vit_167m", "ghostnet": "ghostnet_050", "hardcorenas": "hardcorenas_b", "hgnet": "hgnetv2_b0", "hiera":
    "hiera_tiny_224", "hieradet_sam2": "sam2_hiera_tiny", "hrnet": "hrnet_w18_small", "iformer": "iformer_t",
    "inception_next": "inception_next_atto", "inception_resnet_v2": "inception_resnet_v2", "inception_v3":
    "inception_v3", "inception_v4": "inception_v4", "lcnetv2": "lcnetv2_small", "levit": "levit_128", "lowformer":
    "lowformer_b0", "mambaout": "test_mambaout", "maxxvit": "test_coatnet", "metaformer": "poolformer_s12",
    "mlp_mixer": "gmlp_ti16_224", "mobilenetv3": "mobilenetv3_small_050", "mobilenetv5": "mobilenetv5_base",
    "mobilevit": "mobilevit_xxs", "mvitv2": "mvitv2_tiny", "naflexvit": "naflexvit_base_patch16_gap", "nasnet":
    "nasnetalarge", "nest": "nest_tiny", "nextvit": "nextvit_small", "nfnet": "test_nfnet", "pit": "pit_ti_224",
    "pnasnet": "pnasnet5large", "pvt_v2": "pvt_v2_b0", "qwen3_vit": "qwen3_vit_88m", "rdnet": "rdnet_tiny",
    "regnet": "regnetx_002", "repghost": "repghostnet_050", "repvit": "repvit_m1", "res2net": "res2net50_14w_8s",
    "resnest": "resnest14d", "resnet": "test_resnet", "resnetv2": "resnetv2_18", "rexnet": "rexnet_100", "selecsls":
    "selecsls42", "senet": "legacy_seresnet18", "sequencer": "sequencer2d_s", "shvit": "shvit_s1", "sknet":
    "skresnet18", "starnet": "starnet_s050", "swiftformer": "swiftformer_xs", "swin_transformer":
    "swin_tiny_patch4_window7_224", "swin_transformer_v2": "swinv2_tiny_window16_256", "swin_transformer_v2_cr":
    "swinv2_cr_tiny_224", "tiny_vit": "tiny_vit_5m_224", "tnt": "tnt_s_legacy_patch16_224", "tresnet": "tresnet_m",
    "twins": "twins_svt_small", "vgg": "vgg11", "visformer": "visformer_tiny", "vision_transformer": "test_vit",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224", "vision_transformer_relpos": "test_vit_relpos",
    "vision_transformer_sam": "samvit_base_patch16_224", "vitamin": "vitamin_small_224", "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_slim_dw", "xception": "legacy_xception", "xception_aligned": "xception41p", "xcit":
    "xcit_nano_12_p8_224",
}  # fmt: skip
MEMORY_GB = 16
TIMEOUT_S = 900
DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
HEAD = """# Models: which families of timm train

One small model of each family, a batch of two images, forward, backward and a step of AdamW on the CPU, as
`clfctl train` does it. *plain* memory: channels-last does not hold for it (see
[decision 0051](decisions/0051-memory-format.md)). Made by `python -m tests.models.families` with torch {torch} and
timm {timm}; `pytest -m by_hand tests/models` trains them again. RepVGG and MobileOne (byobnet), which need plain memory
as FastViT does, are trained by tests/engine/test_memory_format.py.

| family | model | M parameters | pixels | memory | trains |
|---|---|---:|---:|---|---|
"""


def train_one_batch(name: str) -> dict[str, Any]:
    """Train on a batch in this process, which it may take down; return what is in the table, or the `error`."""
    import timm
    import torch

    from clfctl.engine.device import pick_precision
    from clfctl.engine.losses import Loss
    from clfctl.engine.memory_format import format_of, lay_out
    from clfctl.engine.micro_batches import MicroBatch
    from clfctl.engine.optimizers import build_optimizer
    from clfctl.engine.step import Normalize, train_step
    from clfctl.errors import ClfctlError
    from clfctl.models.factory import build_model
    from clfctl.settings.groups import TrainSettings

    cpu, (_, own_size, _) = torch.device("cpu"), timm.get_pretrained_cfg(name).input_size
    is_bound = timm.get_pretrained_cfg(name).fixed_input_size
    size = own_size if is_bound or own_size <= 256 else 224
    settings = TrainSettings(model=name, pretrained=False, optimizer="adamw", weight_decay=0.01)
    torch.manual_seed(0)
    try:
        built = build_model(settings, 4, size)
        lay_out(built.model, cpu)
        optimizer = build_optimizer(settings, built.model)
        built.model.train()
        images = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
        batch = MicroBatch(Normalize(built.preprocess, cpu)(images), torch.tensor([0, 1]))
        loss, _ = train_step(built.model, optimizer, pick_precision("off", cpu), [batch], Loss(), clip_grad=0.0)
        is_finite = all(bool(each.isfinite().all()) for each in built.model.parameters())
    except (ClfctlError, RuntimeError, ValueError, TypeError, AttributeError, AssertionError) as error:
        return {"size": size, "error": f"{type(error).__name__}: {error}"[:160]}
    plain = format_of(built.model) != "channels_last"
    found = {"size": size, "n": built.n_parameters, "plain": plain, "loss": float(loss)}
    return found if is_finite else found | {"error": "weights that are not finite"}


def in_a_process(name: str) -> dict[str, Any]:
    """Train on a batch in a process of its own; `error` says how it ended if not well."""
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, "--one", name]
    environment = os.environ | {"PYTHONPATH": str(DOCUMENT.parents[1])}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment)
    except subprocess.TimeoutExpired:
        return {"error": f"it took more than {TIMEOUT_S} s"}
    if done.returncode:
        return {"error": f"the process ended with {done.returncode}: {done.stderr.strip()[-120:]}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(found: Mapping[str, dict[str, Any]]) -> str:
    """Return the document; a family that is not `found` was not run."""
    import timm
    import torch

    lines = [HEAD.format(torch=torch.__version__.partition("+")[0], timm=timm.__version__)]
    for family in sorted(FAMILIES):
        record = found.get(family, {"error": "not run"})
        number = f"{record['n'] / 1e6:.2f}" if "n" in record else ""
        memory = "" if "plain" not in record else "plain" if record["plain"] else "channels-last"
        values = (family, f"`{FAMILIES[family]}`", number, record.get("size", ""), memory, record.get("error", "yes"))
        lines.append(f"| {' | '.join(map(str, values))} |\n")
    return "".join(lines)


def main() -> None:
    """Train the families that are named, or all, and write the document; or one model, and print its record."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(train_one_batch(sys.argv[2])))
        return
    found = {}
    for family in sys.argv[1:] or FAMILIES:
        found[family] = in_a_process(FAMILIES[family])
        print(family, found[family], flush=True)
    DOCUMENT.write_text(table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
