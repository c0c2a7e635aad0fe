/**
 * Keeps a configured URL from reaching what only this machine should reach: cloud metadata services and the link-local network hand out
 * credentials to whoever asks. Looked at after the name has been resolved, on the very addresses that are then dialled. Other private
 * addresses are allowed: receivers live there.
 */
import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { PermanentError } from '../errors.ts'
import type { Address } from './http.ts'

const forbidden = new BlockList()
forbidden.addSubnet('169.254.0.0', 16, 'ipv4') // link-local; 169.254.169.254 and its neighbours
forbidden.addSubnet('0.0.0.0', 8, 'ipv4')
forbidden.addAddress('100.100.100.200', 'ipv4') // Alibaba Cloud
forbidden.addAddress('168.63.129.16', 'ipv4') // Azure
forbidden.addAddress('192.0.0.192', 'ipv4') // Oracle Cloud
forbidden.addSubnet('fe80::', 10, 'ipv6')
forbidden.addAddress('fd00:ec2::254', 'ipv6') // AWS over IPv6
forbidden.addAddress('fd20:ce::254', 'ipv6') // Google Cloud over IPv6
forbidden.addAddress('::', 'ipv6')

export function isForbidden(address: string): boolean {
  const family = isIP(address)
  // BlockList also holds IPv4 rules against addresses like ::ffff:169.254.169.254.
  return family !== 0 && forbidden.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** A URL with an address in place of a name is never looked up: this sees it. */
export function refuseForbiddenUrl(url: string): void {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  if (isForbidden(host)) throw new PermanentError(`${host} is a link-local or metadata address: notices are not sent there`)
}

export async function guardedLookup(hostname: string): Promise<Address[]> {
  const addresses = await lookup(hostname, { all: true })
  const bad = addresses.find(({ address }) => isForbidden(address))
  if (bad) throw new PermanentError(`${hostname} resolves to ${bad.address}, a link-local or metadata address: notices are not sent there`)
  return addresses.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
}
