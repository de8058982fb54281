"""Boxes in pixels: x0, y0, x1, y1, with x1 and y1 exclusive."""


def expand_box(box: tuple[int, int, int, int], factor: float, width: int, height: int) -> tuple[int, int, int, int]:
    """Scale a box (px, exclusive end) about its centre, truncate to whole pixels, clip to the image."""
    x0, y0, x1, y1 = box
    centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
    half_w, half_h = (x1 - x0) * factor / 2, (y1 - y0) * factor / 2
    return (
        max(int(centre_x - half_w), 0),
        max(int(centre_y - half_h), 0),
        min(int(centre_x + half_w), width),
        min(int(centre_y + half_h), height),
    )
