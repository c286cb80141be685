// The memory broker, with some methods of a test's own.
import { memoryBroker, type Broker } from '../../lib/index.js'

export function brokerWith (own: (broker: Broker) => Partial<Broker>): Broker {
  const broker = memoryBroker()
  return {
    open: (sink) => broker.open(sink),
    publish: (...given) => broker.publish(...given),
    attach: (topic) => broker.attach(topic),
    detach: (topic) => broker.detach(topic),
    read: (...given) => broker.read(...given),
    command: (text) => broker.command(text),
    health: () => broker.health(),
    close: () => broker.close(),
    ...own(broker)
  }
}
