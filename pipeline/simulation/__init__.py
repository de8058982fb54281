"""How long a large mining job would take and what it would cost, before any machine is rented.

`scheduling` runs the real pipeline of mining on real Ray, with machines and workers that are simulated and only wait;
`model` computes what cannot be simulated. Every figure that was assumed is said to be.
"""
