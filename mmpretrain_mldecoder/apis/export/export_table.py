"""What an export saw, as lines for the terminal."""

from .export_gate import Export


def export_table(export: Export) -> str:
    """Return a table of the score differences, the verdict, and what the file is, if it is."""
    lines = ['batch  photos  height x width  largest difference     mean']
    lines += [
        f'{row.batch:>5}  {row.num_pictures:>6}  {row.height:>6} x {row.width:<5}  '
        f'{row.largest:>18.2e}  {row.mean:.1e}'
        for row in export.differences
    ]
    if export.tolerance is not None and export.differences:
        lines.append(
            f'scores beside those of torch: {export.largest:.2e} at most, {export.tolerance:g} '
            'is allowed'
        )
    if export.rounding:
        lines += [
            f"torch's own scores beside those in {how}: {apart:.2e} at most"
            for how, apart in export.rounding.items()
        ]
        lines.append('a difference of that order is rounding (--tolerance); a larger one is not')
    if export.metric is not None:
        lines.append(
            f'{export.metric}: {export.before:.2f} before, {export.after:.2f} after quantization'
        )
    if not export.written:
        return '\n'.join(lines)
    metadata = export.metadata
    resize = metadata['resize']
    lines += [
        f'{export.path}: {export.num_bytes / 1e6:.1f} MB, {metadata["source"]["precision"]}, '
        f'{len(metadata["classes"])} classes, {metadata["output"]["name"]}, '
        f'{"with" if "thresholds" in metadata else "no"} thresholds',
        f'resize: {resize if isinstance(resize, str) else _steps(resize)}',
    ]
    return '\n'.join(lines)


def _steps(steps: list[dict]) -> str:
    words = [
        f'{step["op"]} {step["size"]}' if 'size' in step
        else f'{step["op"]} {step["width"]}x{step["height"]}'
        for step in steps
    ]  # fmt: skip
    return ', '.join(words) or 'none, the picture as it is'
