"""`spm predict`: people in images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spmcli.options import Settings, check_folder, flipping, talking
from spmcli.output import note, print_json, print_pairs, progress

if TYPE_CHECKING:
    from spmdata.camera import Camera
    from spmdata.people import People

PATH = click.Path(path_type=Path)
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@click.command("predict")
@click.argument("checkpoint", type=PATH)
@click.argument("paths", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, default="predictions.json", show_default=True, help="COCO results file to write.")
@click.option("--draw", type=PATH, help="Folder for the images with the people drawn in.")
@click.option("--min-score", type=float, help="Least score of a person.  [default: the checkpoint's threshold]")
@click.option("--max-people", type=int, help="Most people an image.  [default: the checkpoint's]")
@click.option("--nms", type=int, help="Side of the peak window, cells: 1, 3, 5 or 7.  [default: the checkpoint's]")
@click.option(
    "--focal",
    type=click.FloatRange(0, min_open=True),
    help="3D: focal length of the images, px; their middle is taken as the principal point.  "
    "[default: unknown: depth from the root alone]",
)
@flipping
@click.option("--batch", type=int, default=8, show_default=True, help="Images at once.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@talking
@click.pass_obj
def command(
    settings: Settings,
    /,
    checkpoint: Path,
    paths: tuple[Path, ...],
    out: Path,
    draw: Path | None,
    min_score: float | None,
    max_people: int | None,
    nms: int | None,
    focal: float | None,
    batch: int,
    device: str,
    flip: bool,
) -> None:
    """Find the people in images with the network of CHECKPOINT; PATHS are images or folders of images.

    Writes COCO's results format: image_id is the number that the file is named by, else its name. A network in 3D adds
    z_cm, from each person's root; and, given --focal, keypoints_cm: x, y, z of every joint in the camera's frame.
    """
    from spmdata.camera import Camera
    from spmdata.draw import draw_people
    from spmdata.errors import ImageError, SpecError
    from spmdata.images import decode_image, read_bytes, write_image
    from spmtrain.predict import Predictor

    check_folder(out)
    decode = {"threshold": min_score, "max_people": max_people, "nms": nms}
    predictor = Predictor(checkpoint, device, flip=flip, **{name: v for name, v in decode.items() if v is not None})
    if focal is not None and predictor.spec.dims == 2:
        raise SpecError(f"{checkpoint} was trained in 2D and knows no depth: leave --focal out")
    files = _images_below(paths)
    results: list[dict[str, Any]] = []
    bad = 0
    with progress(settings, "predict", "images") as advance:
        for at in range(0, len(files), batch):
            names, images = [], []
            for file in files[at : at + batch]:
                try:
                    images.append(decode_image(read_bytes(file)))
                    names.append(file)
                except ImageError as error:
                    note(settings, f"{file}: {error}")
                    bad += 1
            sizes = [(pixels.shape[0], pixels.shape[1]) for pixels in images]
            cameras = [None if focal is None else Camera.simple(focal, size_hw) for size_hw in sizes]
            found = predictor(images, cameras)
            for file, pixels, people, camera in zip(names, images, found, cameras, strict=True):
                results += _coco_results(file, people, camera)
                if draw is not None:
                    draw.mkdir(parents=True, exist_ok=True)
                    write_image(draw / f"{file.stem}.jpg", draw_people(pixels, people, predictor.spec.skeleton))
            advance(min(at + batch, len(files)), len(files))
    out.write_text(json.dumps(results))
    summary = {"images": len(files) - bad, "unreadable": bad, "people": len(results), "out": str(out)}
    if settings.json:
        print_json({"version": 1, **summary})
    else:
        print_pairs([*summary.items(), *([("drawn", draw)] if draw else [])])
    if bad:
        click.get_current_context().exit(1)


def _images_below(paths: Sequence[Path]) -> list[Path]:
    """Return the files, and the images of the folders, sorted within each folder."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            files.append(path)
    if not files:
        raise click.UsageError(f"no images in {', '.join(map(str, paths))} ({', '.join(SUFFIXES)})")
    return files


def _coco_results(file: Path, people: People, camera: Camera | None) -> list[dict[str, Any]]:
    """Return one entry a person, in original px, in the form that COCO's evaluation reads; in 3D with depths in cm."""
    image_id: int | str = int(file.stem) if file.stem.isdecimal() else file.name
    results: list[dict[str, Any]] = [
        {
            "image_id": image_id,
            "category_id": 1,
            "keypoints": [round(v, 2) for x, y in people.joints[p, :, :2].tolist() for v in (x, y, 1)],
            "score": round(float(people.score[p]), 5),
        }
        for p in range(len(people))
    ]
    if people.joints.shape[2] == 3:
        for p, result in enumerate(results):
            if camera is None:
                result["z_cm"] = people.joints[p, :, 2].round(2).tolist()
            elif people.has_depth[p]:
                result["keypoints_cm"] = people.in_camera(camera)[p].round(2).ravel().tolist()
    return results
