"""The methods of Sheets v4, over a `Book`."""

from google_server.book import Refusal, effective, entered, typed, unformatted


def get(book, params):
    """spreadsheets.get"""
    grid = params.get("includeGridData", ["false"])[0] == "true"
    return masked(_resource(book, params.get("ranges", []), grid=grid), params)


def values_batch_get(book, params):
    """spreadsheets.values.batchGet"""
    by_columns = params.get("majorDimension", ["ROWS"])[0] == "COLUMNS"
    if params.get("valueRenderOption") != ["UNFORMATTED_VALUE"]:
        raise Refusal(400, "this server renders UNFORMATTED_VALUE only")
    ranges = []
    for text in params.get("ranges", []):
        tab, row, end_row, column, end_column = book.area(text)
        lines = [[unformatted(v) for v in r[column:end_column]] for r in tab.rows[row:end_row]]
        if by_columns:
            lines = [list(line) for line in zip(*lines, strict=True)]
        answer = {"range": text, "majorDimension": "COLUMNS" if by_columns else "ROWS"}
        if lines := _trimmed([_trimmed(line, "") for line in lines], []):
            answer["values"] = lines
        ranges.append(answer)
    return masked({"spreadsheetId": book.id, "valueRanges": ranges}, params)


def values_batch_update(book, body):
    """spreadsheets.values.batchUpdate: how a person types, or RAW"""
    read = typed if body["valueInputOption"] == "USER_ENTERED" else (lambda value: value)
    for one in body["data"]:
        tab, row, _, column, _ = book.area(one["range"])
        for y, line in enumerate(one["values"]):
            for x, value in enumerate(line):
                if value is not None:
                    tab.write(row + y, column + x, read(value))
    return {"spreadsheetId": book.id}


def batch_update(book, body, params):
    """spreadsheets.batchUpdate: all of the requests, or none"""
    for tab in book.tabs:
        tab.begin()
    try:
        for request in body["requests"]:
            ((kind, content),) = request.items()
            made = {"updateCells": _update_cells, "appendDimension": _append_dimension}
            made[kind](book, content)
    except BaseException:
        for tab in book.tabs:
            tab.undo()
        raise
    answer = {"spreadsheetId": book.id, "replies": [{} for _ in body["requests"]]}
    if body.get("includeSpreadsheetInResponse"):
        grid = body.get("responseIncludeGridData", False)
        answer["updatedSpreadsheet"] = _resource(book, body.get("responseRanges", []), grid=grid)
    return masked(answer, params)


def _tab(book, number):
    for tab in book.tabs:
        if tab.id == number:
            return tab
    raise Refusal(400, f"Invalid requests[0]: No grid with id: {number}")


def _update_cells(book, request):
    if request["fields"] != "userEnteredValue":
        raise Refusal(400, "this server updates userEnteredValue only")
    start = request["start"]
    tab = _tab(book, start["sheetId"])
    for y, row in enumerate(request["rows"]):
        for x, cell in enumerate(row["values"]):
            value = entered(cell.get("userEnteredValue"))
            tab.write(start["rowIndex"] + y, start["columnIndex"] + x, value)


def _append_dimension(book, request):
    if request["dimension"] != "COLUMNS":
        raise Refusal(400, "this server appends columns only")
    _tab(book, request["sheetId"]).widen(request["length"])


def _resource(book, ranges, *, grid):
    areas = [book.area(text) for text in ranges]
    sheets = []
    for tab in book.tabs:
        data = [_grid(*area) for area in areas if area[0] is tab]
        if areas and not data:
            continue
        properties = {
            "sheetId": tab.id,
            "title": tab.title,
            "gridProperties": {"rowCount": len(tab.rows), "columnCount": tab.width},
        }
        sheets.append({"properties": properties} | ({"data": data} if grid else {}))
    return {"spreadsheetId": book.id, "sheets": sheets}


def _grid(tab, row, end_row, column, end_column):
    answer = {"startRow": row} if row else {}  # what is 0 is left out, as by protocol buffers
    if column:
        answer["startColumn"] = column
    answer["rowData"] = [
        {"values": [_cell(value) for value in line[column:end_column]]}
        for line in tab.rows[row:end_row]
    ]
    return answer


def _cell(value):
    shown = effective(value)
    return {} if shown is None else {"effectiveValue": shown}


def _trimmed(items, empty):
    end = len(items)
    while end and items[end - 1] == empty and not isinstance(items[end - 1], bool):
        end -= 1
    return items[:end]


def masked(answer, params):
    """Keep what the `fields` parameter names (https://developers.google.com/sheets/api/guides/field-masks)."""
    if "fields" not in params:
        return answer
    tree, rest = _mask(params["fields"][0])
    if rest:
        raise Refusal(400, f"Invalid field mask: {rest}")
    return _pruned(answer, tree)


def _mask(text):
    """Read paths between commas, up to the end or a closing bracket."""
    tree = {}
    while True:
        name, sub, text = _path(text)
        tree[name] = sub
        if not text.startswith(","):
            return tree, text
        text = text[1:]


def _path(text):
    end = next((i for i, c in enumerate(text) if c in ".,()/"), len(text))
    name, text = text[:end], text[end:]
    if text[:1] in (".", "/"):
        below, sub, text = _path(text[1:])
        return name, {below: sub}, text
    if text.startswith("("):
        sub, text = _mask(text[1:])
        return name, sub, text[1:]
    return name, {}, text


def _pruned(value, tree):
    if isinstance(value, list):
        if list(tree.values()) == [{}]:  # one leaf: the cells, of which there are many
            (name,) = tree
            return [{name: one[name]} if name in one else {} for one in value]
        return [_pruned(one, tree) for one in value]
    return {
        name: _pruned(value[name], sub) if sub else value[name]
        for name, sub in tree.items()
        if name in value
    }
