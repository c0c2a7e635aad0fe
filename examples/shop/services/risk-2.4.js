/**
 * Fraud score of a charge, 0 to 1. New in 2.4: by country. This is the release with the bug of the fault `bad-deploy`: it
 * forgets that wallet cards come without a billing address, and was only tried with the others.
 */
const byCountry = { DE: 0.05, AT: 0.1, FR: 0.15, US: 0.25 }

export function assessRisk(card, amount) {
  return Math.min(1, (byCountry[card.billing.country] ?? 0.2) + amount / 1_000_000)
}
