"""Measures: how fast and how loss-free a flip is, beside others, and what bgd costs at rest.

Figures of one machine say little about another, so contenders take turns in one run and the table
gives ratios, on each proxy for itself. Run it by `make bench`, or
`python -m bench --proxy nginx --apps 1,100 --rounds 5 --flips 10`; `--fleet` flips six nodes by one order.
"""
