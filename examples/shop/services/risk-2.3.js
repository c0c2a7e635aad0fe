/** Fraud score of a charge, 0 to 1. Wallet cards come without a billing address. */
export function assessRisk(card, amount) {
  const abroad = card.billing ? card.billing.country !== 'DE' : false
  return Math.min(1, (abroad ? 0.2 : 0.05) + amount / 1_000_000)
}
