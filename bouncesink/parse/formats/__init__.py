"""One bounce format that follows no standard a module."""
