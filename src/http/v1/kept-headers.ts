// Which headers of a hook's request become headers of its record: what says what the body is, which delivery it is, and
// what its signature is made of, as the usual senders of webhooks name it. Never what lets somebody in (Authorization,
// Cookie, tokens): a record is for whoever may read the topic. A request names others with keep_header.

const ALWAYS = [
  'content-type',
  'content-encoding',
  'content-language',
  'user-agent',
  'x-request-id',
  'x-correlation-id',
  'idempotency-key',
  'traceparent',
  'tracestate',
]

const BY_SENDER: Readonly<Record<string, readonly string[]>> = {
  'Standard Webhooks': ['webhook-id', 'webhook-timestamp', 'webhook-signature'],
  Svix: ['svix-id', 'svix-timestamp', 'svix-signature'],
  CloudEvents: ['webhook-request-origin'],
  GitHub: [
    'x-github-event',
    'x-github-delivery',
    'x-github-hook-id',
    'x-github-hook-installation-target-id',
    'x-github-hook-installation-target-type',
    'x-hub-signature',
    'x-hub-signature-256',
  ],
  GitLab: ['x-gitlab-event', 'x-gitlab-event-uuid', 'x-gitlab-webhook-uuid', 'x-gitlab-instance'],
  Bitbucket: ['x-event-key', 'x-hook-uuid', 'x-request-uuid', 'x-attempt-number'],
  Stripe: ['stripe-signature'],
  Slack: ['x-slack-signature', 'x-slack-request-timestamp', 'x-slack-retry-num', 'x-slack-retry-reason'],
  Shopify: [
    'x-shopify-topic',
    'x-shopify-hmac-sha256',
    'x-shopify-shop-domain',
    'x-shopify-api-version',
    'x-shopify-webhook-id',
    'x-shopify-event-id',
    'x-shopify-triggered-at',
  ],
  Twilio: [
    'x-twilio-signature',
    'i-twilio-idempotency-token',
    'x-twilio-email-event-webhook-signature',
    'x-twilio-email-event-webhook-timestamp',
  ],
  PayPal: [
    'paypal-transmission-id',
    'paypal-transmission-time',
    'paypal-transmission-sig',
    'paypal-cert-url',
    'paypal-auth-algo',
  ],
  Discord: ['x-signature-ed25519', 'x-signature-timestamp'],
  Linear: ['linear-delivery', 'linear-event', 'linear-signature'],
  Sentry: ['sentry-hook-resource', 'sentry-hook-timestamp', 'sentry-hook-signature'],
  Square: ['x-square-hmacsha256-signature'],
  Zoom: ['x-zm-signature', 'x-zm-request-timestamp'],
  PagerDuty: ['x-pagerduty-signature', 'x-webhook-id'],
  WooCommerce: [
    'x-wc-webhook-topic',
    'x-wc-webhook-resource',
    'x-wc-webhook-event',
    'x-wc-webhook-signature',
    'x-wc-webhook-id',
    'x-wc-webhook-delivery-id',
  ],
  'Amazon SNS': ['x-amz-sns-message-type', 'x-amz-sns-message-id', 'x-amz-sns-topic-arn', 'x-amz-sns-subscription-arn'],
  'Azure Event Grid': ['aeg-event-type', 'aeg-subscription-name', 'aeg-delivery-count', 'aeg-data-version'],
}

/** What lets somebody in: no record has it, whoever asks for it. */
export const SECRET_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
])

/** In lower case. */
export const KEPT_HEADERS: ReadonlySet<string> = new Set([...ALWAYS, ...Object.values(BY_SENDER).flat()])
