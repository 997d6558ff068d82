"""timm's Kron (PSGD, Xi-Lin Li 2015, arXiv:1512.04202), made to resume to the bit and to need no other package."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import Optimizer


def is_kron(kind: type) -> bool:
    """Return whether an optimizer's class is Kron."""
    return kind.__module__ == "timm.optim.kron"


def make_pure(optimizer: Optimizer) -> None:
    """Let a Kron draw from (seed, step) alone, compile nothing, and multiply in an order that costs little.

    What it draws from torch's generator is that of the step already; its own generator would have to be saved, so it
    begins anew at each step. Its compiled functions would be compiled for every shape of a weight, for minutes. Its
    products go through opt_einsum, without which einsum multiplies from the left, preconditioner by preconditioner, in
    more memory than there is.
    """
    from timm.optim import kron

    own: Any = optimizer
    own._calc_A_and_conjB, own._precond_grad = _calc_a_and_conj_b, _precond_grad
    own._q_terms, own._balance_Q = kron._q_terms, kron._balance_Q
    own.register_step_pre_hook(lambda made, *_: made.rng.seed(torch.initial_seed()))


def product(expression: str, factors: Sequence[torch.Tensor], tensor: torch.Tensor) -> torch.Tensor:
    """Return `einsum(expression, *factors, tensor)`, the tensor multiplied with one factor after the other."""
    inputs, output = expression.split("->")
    *terms, letters = inputs.split(",")
    while terms:
        # The last first: of a factor that stands twice, the one next to the tensor.
        term, factor = terms.pop(), factors[len(terms)]
        later = {*output, *"".join(terms)}
        kept = "".join(each for each in dict.fromkeys(letters + term) if each in later)
        tensor, letters = torch.einsum(f"{letters},{term}->{kept}", tensor, factor), kept
    return torch.einsum(f"{letters}->{output}", tensor)


def _precond_grad(factors: Sequence[torch.Tensor], expressions: Sequence[Any], grad: torch.Tensor) -> torch.Tensor:
    return product(expressions[-1], [*(each.conj() for each in factors), *factors], grad)


def _calc_a_and_conj_b(
    expression: str, grad: torch.Tensor, factors: Sequence[torch.Tensor], noise: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two tensors that the factors are corrected by, as timm's `_calc_A_and_conjB` does."""
    from timm.optim import kron

    last = grad.ndim - 1
    conj_b = noise.conj().permute(*range(1, grad.ndim), 0) if grad.ndim else noise.conj()
    for place, factor in enumerate(factors):
        conj_b = conj_b / factor if factor.ndim < 2 else kron._solve_triangular_right(conj_b, factor)
        if place < last:
            conj_b = conj_b.transpose(place, last)
    return product(expression, factors, grad), conj_b
