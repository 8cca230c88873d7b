"""Tables as plain text and as Markdown.

Enters: a header, one alignment letter a column, rows of text. Leaves: lines, those of plain text at
most 120 columns wide.
"""

WIDEST = 120


def table(header, alignment, rows):
    """Lines of a table. `header` cells may have several lines; `alignment` is of `<` and `>`.

    A table that does not fit is a mistake of the caller, and raises ValueError.
    """
    heads = [cell.split("\n") for cell in header]
    height = max(len(cell) for cell in heads)
    head_rows = [
        [cell[i - height + len(cell)] if i >= height - len(cell) else "" for cell in heads]
        for i in range(height)
    ]
    widths = [
        max([len(row[column]) for row in head_rows + rows]) for column in range(len(header))
    ]
    total = sum(widths) + 2 * (len(widths) - 1)
    if total > WIDEST:
        raise ValueError(f"table of {total} columns, at most {WIDEST} are allowed")

    def line(cells):
        return "  ".join(f"{c:{a}{w}}" for c, a, w in zip(cells, alignment, widths)).rstrip()

    return [*map(line, head_rows), "-" * total, *map(line, rows)]


def markdown(header, alignment, rows):
    """Lines of the same table in Markdown."""
    rules = [{"<": "---", ">": "---:"}[letter] for letter in alignment]
    heads = [cell.replace("\n", " ") for cell in header]
    return [f"| {' | '.join(cells)} |" for cells in [heads, rules, *rows]]
