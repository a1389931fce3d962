"""Usage plans as the contract has them by default."""

import pytest

from engine.config.policy import policy_of
from engine.config.settings import Settings
from engine.config.types import PlansSettings
from engine.domain.policy import Allowance, UsagePlan
from tests.contract.samples import DAY

DEFAULTS = {
    UsagePlan.SMALL: Allowance(30 * 60, 25, 7 * DAY),
    UsagePlan.MEDIUM: Allowance(120 * 60, 100, 30 * DAY),
    UsagePlan.LARGE: Allowance(600 * 60, 500, 90 * DAY),
}


@pytest.mark.parametrize("plan", UsagePlan)
def test_each_plan_gives_by_default_what_the_contract_says(plan: UsagePlan) -> None:
    assert policy_of(Settings(plans=PlansSettings())).plans[plan] == DEFAULTS[plan]


def test_the_three_plans_carry_the_customers_names() -> None:
    assert [str(plan) for plan in UsagePlan] == ["SMALL", "MEDIUM", "LARGE"]
