import type { Store } from "../store/port.ts";

/** True where a store knows nobody who trusts an authority: where some do, a new one would shut all of them out. */
export async function mayCreateAuthority(
  store: Pick<Store, "listConnectors" | "listCertificates">,
): Promise<boolean> {
  const one = { limit: 1 };
  return (await store.listConnectors(one)).items.length + (await store.listCertificates(one)).items.length ===
    0;
}
