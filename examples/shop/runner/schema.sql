-- The shop's database. The runner adds the products.
CREATE TABLE stock (
  sku text PRIMARY KEY,
  quantity int NOT NULL CHECK (quantity >= 0)
);

CREATE TABLE reservation (
  order_id uuid PRIMARY KEY,
  items jsonb NOT NULL,
  state text NOT NULL CHECK (state IN ('reserved', 'sold', 'released')),
  at timestamptz NOT NULL DEFAULT now()
);
