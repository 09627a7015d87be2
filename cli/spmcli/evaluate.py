"""`spm eval`: how good a network is."""

from __future__ import annotations

from pathlib import Path

import click

from spmcli.options import PATH, STORE, Place, Settings, flipping, talking
from spmcli.output import pose3d_table, print_json, print_pairs, print_table, progress


@click.command("eval")
@click.argument("checkpoint", type=PATH)
@click.option("--store", type=STORE, required=True, help="Finished store with images that the network has not seen.")
@click.option("--batch", type=int, default=16, show_default=True, help="Images at once.")
@click.option("--threads", type=int, default=2, show_default=True, help="Threads that read images.")
@flipping
@click.option("--nms", type=int, help="Side of the peak window, cells: 1, 3, 5 or 7.  [default: the checkpoint's]")
@click.option("--max-people", type=int, help="Most people an image.  [default: the checkpoint's]")
@click.option("--threshold", type=float, help="Smallest heatmap value of a person.  [default: the checkpoint's]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@talking
@click.pass_obj
def command(
    settings: Settings,
    /,
    checkpoint: Path,
    store: Place,
    batch: int,
    threads: int,
    device: str,
    flip: bool,
    **decode: float | None,
) -> None:
    """Score the network of CHECKPOINT on a store: COCO AP by pycocotools and PCK, beside the targets' own ceiling.

    On a store in 3D also the errors in the camera's frame: MPJPE, PA-MPJPE, root, 3D-PCK at 150 mm and AUC.
    """
    from spmdata.store.reader import open_store
    from spmtrain.evaluate import evaluate
    from spmtrain.predict import Predictor

    chosen = {name: value for name, value in decode.items() if value is not None}
    predictor = Predictor(checkpoint, device, flip=flip, **chosen)
    with progress(settings, "eval", "images") as advance:
        result = evaluate(predictor, open_store(store), batch=batch, threads=threads, on_rows=advance)
    if settings.json:
        print_json({"version": 1, **result.to_json()})
        return
    print_pairs([("images", f"{result.images:,} with {result.people:,} labelled people"), ("area", result.area)])
    click.echo()
    rows = ((name, *scores, share) for name, scores, share in (
        ("network", result.scores, result.pck), ("ceiling", result.ceiling, result.ceiling_pck)))  # fmt: skip
    print_table(
        ("", *result.scores._fields, "PCK@.1"),
        [(name, *(f"{100 * value:.1f}" if value >= 0 else "-" for value in values)) for name, *values in rows],
    )
    if result.pose3d is not None and result.ceiling_pose3d is not None:
        click.echo()
        print_table(*pose3d_table({"network": result.pose3d, "ceiling": result.ceiling_pose3d}))
