// Names this page to the server, which cuts a connection of no other and lets it speak as no other.
export const client = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('')
