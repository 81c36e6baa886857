"""What people see: readers are shown numbered pictures without names, and say what each is.

    python -m benchmarks.reading make METHOD...            pictures of the classes, one folder a method
    python -m benchmarks.reading sheets METHOD... --out DIR  numbered sheets, the list of names, forms to fill in
    python -m benchmarks.reading score DIR...              the table, from the forms in the folders of `sheets`

Every reader sees each class once, by one of the methods (a Latin square), so that no picture gives another away, and no
reader knows whose picture it is. A form asks, in this order, what it is (free text), how readable it is (0 nothing, 1 a
texture or a fragment, 2 can be guessed, 3 obvious), and which of the names on the list it is.
"""
