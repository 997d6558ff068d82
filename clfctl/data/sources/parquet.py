"""Parquet: tables with paths of images, and the files with images inside that Hugging Face's data sets consist of."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clfctl.data.sources.arrow import ArrowImages, LateColumn, Split, assemble, choose_columns, has_images
from clfctl.data.sources.found import Found
from clfctl.data.sources.parts import PartName
from clfctl.data.sources.unpacked import check_is_here, place_of, unpack
from clfctl.errors import DataError, first_line, shortened
from clfctl.storage.files import in_bytes

HINT = "images in Parquet need a column of images ({bytes, path}, as Hugging Face writes it) and one of labels"
_AT_ONCE = 256


def parquet_rows(
    path: Path, columns: Callable[[Sequence[str]], dict[str, int]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (its row, {column: cell}) for each row of a table of paths.

    `columns` returns the position of each column by their names, or raises DataError. Raises DataError if the file
    cannot be read, or its columns hold anything but text and numbers.
    """
    pa = _pyarrow(path)
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
        places = columns(schema.names)
        for name, place in places.items():
            kind = schema.field(place).type
            if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
                what = f"{path}: its column {shortened(schema.names[place])} holds {shortened(kind)}, not a {name}"
                raise DataError(what, HINT, field="data")
        number = 0
        for batch in file.iter_batches(columns=[schema.names[place] for place in places.values()]):
            cells_of = [batch.column(schema.names[place]).to_pylist() for place in places.values()]
            for cells in zip(*cells_of, strict=True):
                number += 1
                yield f"row {number}", dict(zip(places, cells, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def holds_images(path: Path) -> bool:
    """Return whether a file has images inside; False if it cannot be read, as it must then be read to say why."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        return False
    try:
        return any(map(has_images, parquet.read_schema(path)))
    except (pa.ArrowException, OSError):
        return False


def index_parquet(root: Path, parts: Mapping[PartName, Sequence[Path]], folder: Path) -> Found[ArrowImages]:
    """Read the labels of the files of some parts; images are unpacked into `folder` when the first is asked for.

    Parquet packs thousands of images into one block: to read one of them is to unpack them all. Raises DataError if a
    file cannot be read, or has no images or labels.
    """
    pa = _pyarrow(root)
    notes = []
    splits: dict[PartName, Split] = {}
    n_bytes = 0
    for part, files in parts.items():
        try:
            for path in files:
                check_is_here(path)
            splits[part], n = _split(part, files, folder)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(root, error) from None
        n_bytes += n
    if n_bytes:
        notes.append(f"the images of {root} are unpacked once, into {folder}: about {in_bytes(n_bytes)}")
    found = assemble(root, splits, HINT)
    return replace(found, notes=(*found.notes, *notes))


def _split(part: PartName, files: Sequence[Path], folder: Path) -> tuple[Split, int]:
    """Return the images of a part, and how many bytes of them are not unpacked yet."""
    from pyarrow import parquet

    schema = parquet.read_schema(files[0])
    columns = choose_columns(schema, _features(schema), files[0], HINT)
    labels: list[Any] | None = [] if columns.label else None
    n_bytes = 0
    for path in files:
        opened = parquet.ParquetFile(path)
        if columns.label and labels is not None:
            labels += opened.read(columns=[columns.label]).column(0).to_pylist()
        if not place_of(path, ".arrow", folder).is_file():
            n_bytes += _bytes_of(opened, columns.image)
    images = LateColumn(lambda advance: _unpacked_column(files, columns.image, folder, advance), n_bytes)
    return Split(part, files, images, labels, columns.classes), n_bytes


def _unpacked_column(files: Sequence[Path], name: str, folder: Path, advance: Callable[[int], None]) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    chunks = []
    for path in files:
        place = place_of(path, ".arrow", folder)
        try:
            if not place.is_file():
                file = parquet.ParquetFile(path)
                unpack(path, place, _bytes_of(file, name), _pieces(file, name, advance))
            chunks += pa.ipc.open_stream(pa.memory_map(str(place))).read_all().column(0).chunks
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from None
    return pa.chunked_array(chunks)


def _pieces(file: Any, name: str, advance: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the column of images of a Parquet file as an Arrow file, some images at a time."""
    import pyarrow as pa

    kind = pa.struct({"bytes": pa.large_binary(), "path": pa.string()})
    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), pa.schema({"image": kind})) as writer:
        for batch in file.iter_batches(_AT_ONCE, columns=[name]):
            column = batch.column(0)
            is_struct = pa.types.is_struct(column.type)
            content = column.field("bytes") if is_struct else column
            has_path = is_struct and column.type.get_field_index("path") >= 0
            paths = column.field("path") if has_path else pa.nulls(len(column), pa.string())
            fields = [content.cast(pa.large_binary()), paths.cast(pa.string())]
            writer.write_batch(pa.record_batch([pa.StructArray.from_arrays(fields, ["bytes", "path"])], ["image"]))
            yield sink.taken()
            advance(len(batch))
    yield sink.taken()


class _Sink:
    """A file in memory that is emptied as it is written."""

    closed = False

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, content: Any) -> int:
        """Keep some bytes."""
        self._content += content
        return len(content)

    def flush(self) -> None:
        """Do nothing: there is nothing below."""

    def close(self) -> None:
        """Do nothing: what was written is still to be taken."""

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        content, self._content = bytes(self._content), bytearray()
        return content


def _bytes_of(file: Any, name: str) -> int:
    """Return how large a column is unpacked, in bytes."""
    meta = file.metadata
    chunks = (meta.row_group(g).column(c) for g in range(meta.num_row_groups) for c in range(meta.num_columns))
    return sum(each.total_uncompressed_size for each in chunks if each.path_in_schema.split(".")[0] == name)


def _features(schema: Any) -> Mapping[str, Any]:
    """Return the features that `datasets` keeps in the metadata of a schema, {} without them."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError:
        raise DataError(f"{path} needs the package pyarrow", "pip install 'clfctl[parquet]'", field="data") from None
    return pyarrow


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read: {first_line(error)}", field="data")
