/** What the shop sells. Prices in cents. */
export const products = [
  { sku: 'kettle-steel', category: 'kitchen', name: 'Steel kettle', price: 4900 },
  { sku: 'mug-blue', category: 'kitchen', name: 'Blue mug', price: 1200 },
  { sku: 'pan-iron', category: 'kitchen', name: 'Cast-iron pan', price: 6400 },
  { sku: 'knife-chef', category: 'kitchen', name: "Chef's knife", price: 8900 },
  { sku: 'lamp-desk', category: 'home', name: 'Desk lamp', price: 5900 },
  { sku: 'rug-wool', category: 'home', name: 'Wool rug', price: 18900 },
  { sku: 'clock-wall', category: 'home', name: 'Wall clock', price: 3400 },
  { sku: 'blanket-grey', category: 'home', name: 'Grey blanket', price: 4500 },
  { sku: 'spade-ash', category: 'garden', name: 'Ash spade', price: 3900 },
  { sku: 'hose-25m', category: 'garden', name: 'Hose, 25 m', price: 2900 },
  { sku: 'bench-oak', category: 'garden', name: 'Oak bench', price: 24900 },
  { sku: 'seeds-mix', category: 'garden', name: 'Wild flower seeds', price: 600 },
]
