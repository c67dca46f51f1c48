"""For each exercise of the lectures an answer that a student might give, and that must fail.

Number to a part of the solution's code, and what stands in its place in the wrong one.
"""

WRONG: dict[str, tuple[str, str]] = {
    "1.1": ("2 * 128 - 1", "2 * 128"),
    "1.2": ("gradient(z, tau) / 10", "gradient(z, tau)"),
    "1.3": ("G.sum(dim=1)", "p.sum(dim=1)"),
    "1.4": (" - math.exp(1 / temperature)", ""),
    "1.5": ("same & ~itself", "same"),
    "2.1": ("torch.tensor(0.4)", "torch.tensor(2.2)"),
    "2.2": ('"scanner": 100.0', '"scanner": 1.5'),
    "2.3": ("[1.0, -1.0]", "[1.0, 1.0]"),
    "2.4": ("difference(c == k) for", "difference(c >= 0) for"),
    "2.5": ("2 * 1.25 / 2.25", "2 * 1.25"),
    "3.1": ("posterior[1].log()", "posterior[1]"),
    "3.2": ("(1.0, 1.0, 0.5)", "(1.0, 1.0, 1.0)"),
    "3.3": ("(beta * sigma**2)", "(sigma**2 / beta)"),
    "3.4": ("0.5 * torch.log", "torch.log"),
    "3.5": ("keeps_z == x_seen", "keeps_z == truth"),
    "4.1": ("torch.tensor(float(K)).log()", "torch.tensor(float(K))"),
    "4.2": ("(0.95, 14)", "(0.95, 20)"),
    "4.3": ("Fraction(L // 2 + 1, L + 1)", "Fraction(L // 2, L + 1)"),
    "4.4": ("sinkhorn_knopp(ahead, temperature=0.2)", "(ahead / 0.2).softmax(dim=1)"),
    "4.5": ("= history[-20:]", '= runs["centre"][1][-20:]'),
    "4.6": ("torch.equal(first_is_white, swapped)", "first_is_white.all()"),
    "5.1": ("agreement(a @ M.T, b @ M.T)", "agreement(a @ M.T, b)"),
    "5.2": ("(1 - 1 / 3)", "1"),
    "5.3": ("-1 / (k - 1)", "0.0"),
    "5.4": ("view(c, redrawn))", "view(c, signal(loud)))"),
    "5.5": ("(limit - 0.1, 0)", "(limit + 0.2, 0)"),
    "5.6": ("same(across, female)", 'same(encoders["standard"], female)'),
}
